// Reads the words behind a command, and refuses those that it does not understand.

import { parseArgs } from 'node:util'
import { exitCodes } from '../boot/exit-code.ts'
import { printable } from './text-table.ts'

export interface Words {
  readonly words: readonly string[]
  /** True with `--yes`, which commands ask for that lose data. */
  readonly isSure: boolean
}

/** A flag that no command has stays a word, which no command understands. */
export function readWords (args: readonly string[]): Words {
  try {
    const { positionals, values } = parseArgs({ args: [...args], options: { yes: { type: 'boolean', default: false } }, allowPositionals: true })
    return { words: positionals, isSure: values.yes }
  } catch {
    return { words: args, isSure: false }
  }
}

export function refuseWords (args: readonly string[], usage: string): void {
  console.error(printable(`"${args.join(' ')}" is not understood: ${usage}`))
  process.exitCode = exitCodes.settings
}
