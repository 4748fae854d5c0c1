// Runs the commands that ask the running host over its socket: `plugins`, `tasks` and `keys`.

import type { Loaded } from '../../config/schema.ts'
import { exitCodes } from '../boot/exit-code.ts'
import type { Job, PluginStatus } from '../contract/index.ts'
import { askHost, jobStates, keyVerbs, taskVerbs, verbs } from '../control/control-socket.ts'
import type { KeyStatus } from '../encryption/index.ts'
import { renderKeys } from './key-table.ts'
import { renderPlugins } from './plugin-table.ts'
import { renderJobs } from './task-table.ts'
import { printable } from './text-table.ts'

const pluginsUsage = 'npm run plugins [-- list | check [id] | reload <id> | enable <id> | disable <id> [reason]]'

/** Lists, reloads, enables and disables plugins through the host that runs on the same data folder, on this machine. */
export async function plugins ({ settings }: Loaded, [word = 'list', id, ...words]: string[]): Promise<void> {
  const verb = verbs.find(known => known === word)
  const isUnderstood = verb === 'list' ? id === undefined : id !== undefined && (verb === 'disable' || words.length === 0)
  if (verb === undefined || !isUnderstood) {
    console.error(`"${[word, id, ...words].filter(part => part !== undefined).join(' ')}" is not understood: ${pluginsUsage}`)
    process.exitCode = exitCodes.settings
    return
  }
  try {
    const reason = words.length === 0 ? {} : { reason: words.join(' ') }
    console.log(renderPlugins(await askHost(settings.dataPath, { about: 'plugins', verb, ...id !== undefined && { id }, ...reason }) as readonly PluginStatus[]))
  } catch (error) {
    console.error(printable((error as Error).message))
    process.exitCode = exitCodes.fatal
  }
}

const tasksUsage = `npm run tasks [-- list [${jobStates.join(' | ')}] | retry <job> | cancel <job> | run <plugin>/<task> | forget <plugin>]`

/** Lists and changes the jobs of all plugins and replicas, through the host that runs on the same data folder. */
export async function tasks ({ settings }: Loaded, [word = 'list', what, ...more]: string[]): Promise<void> {
  const verb = taskVerbs.find(known => known === word)
  const state = jobStates.find(known => known === what)
  if (verb === undefined || more.length > 0 || (verb === 'list' ? what !== state : what === undefined)) {
    console.error(`"${[word, what, ...more].filter(part => part !== undefined).join(' ')}" is not understood: ${tasksUsage}`)
    process.exitCode = exitCodes.settings
    return
  }
  try {
    const question = verb === 'list' ? { verb, state } : { verb, id: what }
    console.log(renderJobs(await askHost(settings.dataPath, { about: 'tasks', ...question }) as readonly Job[]))
  } catch (error) {
    console.error(printable((error as Error).message))
    process.exitCode = exitCodes.fatal
  }
}

const keysUsage = 'npm run keys [-- status | rewrap | forget <plugin> --yes]; forget: what that plugin kept sealed is lost with the key it is under'

/** Shows and changes the master keys of all replicas, through the host that runs on the same data folder. */
export async function keys ({ settings }: Loaded, [word = 'status', ...rest]: string[]): Promise<void> {
  const verb = keyVerbs.find(known => known === word)
  const [id, ...more] = rest.filter(part => part !== '--yes')
  const isUnderstood = verb === 'forget' ? id !== undefined && rest.includes('--yes') : rest.length === 0
  if (verb === undefined || more.length > 0 || !isUnderstood) {
    console.error(`"${[word, ...rest].join(' ')}" is not understood: ${keysUsage}`)
    process.exitCode = exitCodes.settings
    return
  }
  try {
    console.log(renderKeys(await askHost(settings.dataPath, { about: 'keys', verb, ...id !== undefined && { id } }) as KeyStatus))
  } catch (error) {
    console.error(printable((error as Error).message))
    process.exitCode = exitCodes.fatal
  }
}
