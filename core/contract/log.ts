// The logger of the host and its plugins. A log call takes the facts first, then a sentence.

export interface LogMethod {
  (message: string): void
  (facts: object, message: string): void
}

export interface Log {
  trace: LogMethod
  debug: LogMethod
  info: LogMethod
  warn: LogMethod
  /** Logs an error. Pass the error as the fact `err`: `log.error({ err }, 'the invoice was not sent')`. */
  error: LogMethod
  fatal: LogMethod
  child (facts: object): Log
}
