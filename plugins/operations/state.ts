// The zod schema of the states of a unit, for answers.

import { z } from 'bulkhead'

export const State = z.enum(['waiting', 'starting', 'running', 'quarantined', 'held', 'failed', 'disabled', 'stopping', 'stopped'])
