// Finds the command by its name and runs it: the start of the host, or one of the operator's other commands.

import { join } from 'node:path'
import { InvalidSettings, loadSettings, type Loaded } from '../../config/schema.ts'
import { exitCodes } from '../boot/exit-code.ts'
import { printable } from './text-table.ts'

const root = join(import.meta.dirname, '../..')

type Command = (loaded: Loaded, args: string[], root: string) => Promise<void>

/** Each imports only what it needs: a command that asks the running host answers without loading a host of its own. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import('../boot.ts')).start,
  dev: async () => (await import('../boot.ts')).startDevelopment,
  settings: async () => (await import('./command.ts')).printSettings,
  migrate: async () => (await import('./command.ts')).migrate,
  plugins: async () => async (loaded, args, root) => args[0] === 'check'
    ? (await import('./plugin-check.ts')).checkPlugins(loaded, args.slice(1), root)
    : (await import('./host-command.ts')).plugins(loaded, args),
  tasks: async () => (await import('./host-command.ts')).tasks,
  keys: async () => (await import('./host-command.ts')).keys
}

/**
 * Runs `node core/main.js [start | dev | settings | migrate … | plugins … | tasks … | keys …]`. Sets the exit code;
 * `start` ends the process itself.
 */
export async function main ([name = 'start', ...args]: string[]): Promise<void> {
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (load === undefined) { refuse(`"${name}" is not a command; they are ${Object.keys(commands).join(', ')}.`); return }
  try {
    const loaded = loadSettings({
      env: process.env, folder: join(root, 'config'), root,
      // Secrets are removed from the environment, so that neither plugins nor child processes can read them there.
      forget: variable => { Reflect.deleteProperty(process.env, variable) }
    })
    const command = await load()
    await command(loaded, args, root)
  } catch (error) {
    if (!(error instanceof InvalidSettings)) throw error
    refuse(error.message)
  }
}

function refuse (message: string): void {
  console.error(printable(message))
  process.exitCode = exitCodes.settings
}
