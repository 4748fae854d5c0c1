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
import { readWords, refuseWords } from './words.ts'

const pluginsUsage = 'npm run plugins [-- list | check [id] | reload <id> | enable <id> | disable <id> [reason]]'

/** Lists, reloads, enables and disables plugins through the host that runs on the same data folder, on this machine. */
export async function plugins (loaded: Loaded, args: string[]): Promise<void> {
  const { words: [word = 'list', id, ...more] } = readWords(args)
  const verb = verbs.find(known => known === word)
  const isUnderstood = verb === 'list' ? id === undefined : id !== undefined && (verb === 'disable' || more.length === 0)
  if (verb === undefined || !isUnderstood) { refuseWords(args, pluginsUsage); return }
  const reason = more.length === 0 ? {} : { reason: more.join(' ') }
  await ask(loaded, { about: 'plugins', verb, ...id !== undefined && { id }, ...reason }, answer => renderPlugins(answer as readonly PluginStatus[]))
}

const tasksUsage = `npm run tasks [-- list [${jobStates.join(' | ')}] | retry <job> | cancel <job> | run <plugin>/<task> | forget <plugin>]`

/** Lists and changes the jobs of all plugins and replicas, through the host that runs on the same data folder. */
export async function tasks (loaded: Loaded, args: string[]): Promise<void> {
  const { words: [word = 'list', what, ...more] } = readWords(args)
  const verb = taskVerbs.find(known => known === word)
  const state = jobStates.find(known => known === what)
  if (verb === undefined || more.length > 0 || (verb === 'list' ? what !== state : what === undefined)) { refuseWords(args, tasksUsage); return }
  const question = verb === 'list' ? { verb, state } : { verb, id: what }
  await ask(loaded, { about: 'tasks', ...question }, answer => renderJobs(answer as readonly Job[]))
}

const keysUsage = 'npm run keys [-- status | rewrap | forget <plugin> --yes]; forget: what that plugin kept sealed is lost with the key it is under'

/** Shows and changes the master keys of all replicas, through the host that runs on the same data folder. */
export async function keys (loaded: Loaded, args: string[]): Promise<void> {
  const { words: [word = 'status', id, ...more], isSure } = readWords(args)
  const verb = keyVerbs.find(known => known === word)
  const isUnderstood = verb === 'forget' ? id !== undefined && isSure : id === undefined
  if (verb === undefined || more.length > 0 || !isUnderstood) { refuseWords(args, keysUsage); return }
  await ask(loaded, { about: 'keys', verb, ...id !== undefined && { id } }, answer => renderKeys(answer as KeyStatus))
}

async function ask ({ settings }: Loaded, question: Parameters<typeof askHost>[1], render: (answer: unknown) => string): Promise<void> {
  try {
    console.log(render(await askHost(settings.dataPath, question)))
  } catch (error) {
    console.error(printable((error as Error).message))
    process.exitCode = exitCodes.fatal
  }
}
