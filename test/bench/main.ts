// `npm run bench [-- start | requests | …]`: measures. Speeds are ratios to a peer of the same run; what must not happen is counted.

import { cpus, totalmem } from 'node:os'
import { benchAccess } from './access.ts'
import { benchDrain } from './drain.ts'
import { benchLogin } from './login.ts'
import { benchReplace } from './replace.ts'
import { benchRequests } from './requests.ts'
import { benchStart } from './start.ts'
import { benchTasks } from './tasks.ts'

const benches = {
  start: benchStart, requests: benchRequests, drain: benchDrain, replace: benchReplace, access: benchAccess, login: benchLogin, tasks: benchTasks
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter(name => !Object.hasOwn(benches, name))
if (unknown.length > 0) {
  console.error(`no bench is called ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}`)
  process.exit(2)
}
console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB\n`)
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length === 0 || wanted.includes(name)) await bench()
}
