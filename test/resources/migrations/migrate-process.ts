// Runs the migrations of a folder in a process of its own: node migrate-process.ts <url> <folder>.

import { createMigrations } from '../../../core/resources/migrations/migrations.ts'
import { clock, createLog } from '../../support/part.ts'

const [url = '', folder = ''] = process.argv.slice(2)
const names = await createMigrations({ url, owner: 'core', schema: 'public', folder, log: createLog(), clock }).up()
process.stdout.write(JSON.stringify(names))
