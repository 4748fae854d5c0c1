// Finds the command by its name and runs it: the start of the host, or one of the operator's other commands.

import { join } from 'node:path'
import { InvalidSettings, loadSettings } from '../../config/schema.ts'
import { start, startDevelopment } from '../boot.ts'
import { exitCodes } from '../boot/exit.ts'
import { keys, migrate, plugins, printSettings, tasks } from './command.ts'

const root = join(import.meta.dirname, '../..')

const commands = { start, dev: startDevelopment, settings: printSettings, migrate, plugins, tasks, keys }

/**
 * Runs `node core/main.js [start | dev | settings | migrate … | plugins … | tasks … | keys …]`. Sets the exit code;
 * `start` ends the process itself.
 */
export async function main ([name = 'start', ...args]: string[]): Promise<void> {
  if (!Object.hasOwn(commands, name)) { refuse(`"${name}" is not a command; they are ${Object.keys(commands).join(', ')}.`); return }
  try {
    const loaded = loadSettings({
      env: process.env, folder: join(root, 'config'), root,
      // Secrets are removed from the environment, so that neither plugins nor child processes can read them there.
      forget: variable => { Reflect.deleteProperty(process.env, variable) }
    })
    await commands[name as keyof typeof commands](loaded, args, root)
  } catch (error) {
    if (!(error instanceof InvalidSettings)) throw error
    refuse(error.message)
  }
}

function refuse (message: string): void {
  console.error(message)
  process.exitCode = exitCodes.settings
}
