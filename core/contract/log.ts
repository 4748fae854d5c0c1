// What the host and its plugins write their log lines with: facts first, then a sentence.

export interface LogMethod {
  (message: string): void
  (facts: object, message: string): void
}

export interface Log {
  trace: LogMethod
  debug: LogMethod
  info: LogMethod
  warn: LogMethod
  /** An error goes in as the fact `err`: `log.error({ err }, 'the invoice was not sent')`. */
  error: LogMethod
  fatal: LogMethod
  child (facts: object): Log
}
