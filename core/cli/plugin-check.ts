// Runs `npm run plugins -- check`: says what a start of the host would make of the plugins, without a start.

import type { Loaded } from '../../config/schema.ts'
import { exitCodes } from '../boot/exit-code.ts'
import { examinePlugins } from '../boot/plugin-units.ts'
import { registerBulkhead, type Problem } from '../plugin-runtime/index.ts'
import { printable } from './text-table.ts'
import { readWords, refuseWords } from './words.ts'

/** Checks all plugins, or the one with this id. The exit code is 0 when the host and each of them would start. */
export async function checkPlugins (loaded: Loaded, args: string[], root: string): Promise<void> {
  const { words: [id, ...more] } = readWords(args)
  if (more.length > 0) { refuseWords(['check', ...args], 'npm run plugins -- check [id]'); return }
  const forget = registerBulkhead()
  const { discovery: { candidates, broken, skipped }, found, unmet, fatal, wrongSettings } = await examinePlugins({ loaded, root }).finally(forget)
  const all = [...candidates, ...broken].filter(candidate => id === undefined || candidate.id === id)
  const leftOut = skipped.filter(skip => id === undefined || skip.id === id).map(({ folder, why, id: name = folder }) => `${name} is left out: ${why}`)
  if (all.length === 0 && leftOut.length === 0) {
    console.error(id === undefined ? 'No plugin is here.' : `There is no plugin "${id}".`)
    process.exitCode = exitCodes.pluginsInvalid
    return
  }
  const failures = found.failures.flatMap(({ error }) => error.problems)
  const lines = all.flatMap(({ id: name, version }) => {
    const of = (problems: readonly Problem[]): string[] => problems.filter(({ plugin }) => plugin === name).map(({ what, mend }) => `    ${what} ${mend}`)
    const [failed, held] = [of(failures), of(unmet)]
    if (failed.length > 0) return [`${name} ${version} would be quarantined:`, ...failed]
    if (held.length > 0) return [`${name} ${version} would be held:`, ...held]
    return [`${name} ${version} would be started`]
  })
  const mattering = id === undefined ? fatal : fatal.filter(({ plugin }) => plugin === id)
  console.log(printable([...lines, ...leftOut].join('\n')))
  if (mattering.length > 0) sayWhyNot(['The host would not start (exit code 4):', ...mattering.map(({ file, what, mend }) => `    ${file}: ${what} ${mend}`)])
  if (wrongSettings.length > 0) sayWhyNot(['The host would not start (exit code 2):', ...wrongSettings.map(problem => `    ${problem}`)])
  const isSound = mattering.length === 0 && all.every(({ id: name }) => ![...failures, ...unmet].some(({ plugin }) => plugin === name))
  process.exitCode = !isSound ? exitCodes.pluginsInvalid : wrongSettings.length > 0 ? exitCodes.settings : exitCodes.clean
  // A plugin may have begun something when it was imported, and this command does not wait for its end.
  process.exit()
}

const sayWhyNot = (lines: readonly string[]): void => { console.error(printable(lines.join('\n'))) }
