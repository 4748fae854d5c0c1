// The exit codes of the process, which operators and scripts go by: their meaning does not change.

export const exitCodes = {
  clean: 0,
  fatal: 1,
  settings: 2,
  resources: 3,
  pluginsInvalid: 4,
  pluginNotStarted: 5,
  stopFailed: 6,
  overBudget: 7
} as const
export type Outcome = keyof typeof exitCodes
