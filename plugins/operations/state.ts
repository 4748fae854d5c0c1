// The states of a unit, as the answers have them.

import { z } from 'bulkhead'

export const State = z.enum(['waiting', 'starting', 'running', 'quarantined', 'held', 'failed', 'disabled', 'stopping', 'stopped'])
