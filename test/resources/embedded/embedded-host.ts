// A process that has an embedded PostgreSQL open until it is ended, and prints what it got or why it got nothing.

import { openEmbeddedPostgres } from '../../../core/resources/embedded/embedded-postgres.ts'
import { openParts } from '../../support/part.ts'

const [dataPath = ''] = process.argv.slice(2)
await openEmbeddedPostgres({ dataPath, parameters: { fsync: 'off' } }, openParts()).then(
  async server => {
    console.log(JSON.stringify(server.value))
    process.once('SIGTERM', () => { clearInterval(forever); void server.close() })
    const forever = setInterval(() => { /* until it is ended */ }, 60_000)
  },
  (error: unknown) => { console.log(JSON.stringify({ error: String(error) })) })
