// Serves the host's Unix socket in the data folder. On it `npm run plugins`, `npm run tasks` and `npm run keys` ask the
// running host. Only the operating-system user of the host may connect.

import { chmod, mkdir, rm } from 'node:fs/promises'
import { createServer, request, type IncomingMessage, type Server } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { AnswerableError, BadRequest, singleLine, z, type Host, type JobState, type Log, type Operator } from '../contract/index.ts'
import { describeThrown } from '../contract/thrown.ts'
import type { KeyRotation } from '../encryption/index.ts'

export const verbs = ['list', 'reload', 'enable', 'disable'] as const
export const taskVerbs = ['list', 'retry', 'cancel', 'run', 'forget'] as const
export const keyVerbs = ['status', 'rewrap', 'forget'] as const
export const jobStates = ['waiting', 'retrying', 'running', 'done', 'dead', 'failed', 'cancelled'] as const satisfies readonly JobState[]

const Id = singleLine(200).optional()
const PluginQuestion = z.strictObject({ about: z.literal('plugins'), verb: z.enum(verbs), id: Id, reason: singleLine(500).optional() })
const TaskQuestion = z.strictObject({ about: z.literal('tasks'), verb: z.enum(taskVerbs), id: Id, state: z.enum(jobStates).optional() })
const KeyQuestion = z.strictObject({ about: z.literal('keys'), verb: z.enum(keyVerbs), id: Id })
const Question = z.discriminatedUnion('about', [PluginQuestion, TaskQuestion, KeyQuestion])
export type Question = z.output<typeof Question>

/** Longest path in bytes; operating systems limit the path of a Unix socket to about this. */
const pathBytesMax = 100
const questionBytesMax = 10_000
/** Longest wait of a command for its answer. A new generation of a plugin may take its whole budget to start. */
const answerWithinMs = 120_000
/** Longest run of a re-wrap inside `answerWithinMs`. Anything not re-wrapped by then is left to the re-wrap task. */
const rewrapWithinMs = 90_000

const socketPathOf = (dataPath: string): string => join(dataPath, 'host.sock')

/** The operator at the machine, who is not a user of the platform. */
const operator: Operator = { id: '00000000-0000-0000-0000-000000000000', name: 'the console' }

/** The parts of the host that answer the questions. */
export interface Asked {
  readonly host: Host
  readonly keys: KeyRotation
}

/**
 * Opens the socket. Logs and returns undefined when there can be no socket, or another host already has it; the API
 * does the same work.
 */
export async function openControl (dataPath: string, { host, keys }: Asked, log: Log): Promise<{ close (): Promise<void> } | undefined> {
  const path = socketPathOf(dataPath)
  if (Buffer.byteLength(path) > pathBytesMax) {
    log.info({ path }, 'the data folder\'s path is too long for a socket: operate the plugins through the API, not with "npm run plugins" and "npm run tasks"; the log says what "npm run keys" would')
    return undefined
  }
  if (await isAnswered(path)) {
    log.info({ path }, 'another host has the socket of this data folder: "npm run plugins", "npm run tasks" and "npm run keys" talk to that one')
    return undefined
  }
  await mkdir(dataPath, { recursive: true })
  await rm(path, { force: true })
  const server = createServer((req, res) => {
    answer(req, { host, keys }).then(
      body => res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
      (error: unknown) => {
        if (!(error instanceof AnswerableError)) log.error({ err: error }, 'a command of the operator failed')
        res.writeHead(error instanceof AnswerableError ? error.status : 500, { 'content-type': 'application/json' })
          .end(JSON.stringify({ error: describeThrown(error) }))
      })
  })
  await listen(server, path)
  await chmod(path, 0o600)
  return {
    close: async () => {
      const closed = new Promise(resolve => server.close(resolve))
      server.closeAllConnections()
      await closed
      await rm(path, { force: true })
    }
  }
}

const listen = (server: Server, path: string): Promise<void> => new Promise((resolve, reject) => {
  server.once('error', reject).listen(path, () => { server.off('error', reject); resolve() })
})

/**
 * Returns whether a host listens on the socket. The socket of a killed process still exists, but refuses connections.
 */
const isAnswered = (path: string): Promise<boolean> => new Promise(resolve => {
  const socket = connect(path)
  socket.once('connect', () => { socket.destroy(); resolve(true) }).once('error', () => resolve(false))
})

async function answer (req: IncomingMessage, { host, keys }: Asked): Promise<unknown> {
  let text = ''
  for await (const chunk of req) if ((text += String(chunk)).length > questionBytesMax) throw new BadRequest(`The question is longer than ${questionBytesMax} characters.`)
  const question = readQuestion(text)
  const { id = '' } = question
  if (question.about === 'keys') {
    if (question.verb === 'rewrap') await keys.rewrap(AbortSignal.timeout(rewrapWithinMs))
    if (question.verb === 'forget') await keys.forget(id, operator)
    return keys.status()
  }
  if (question.about === 'tasks') {
    const { verb, state } = question
    if (verb === 'list') return host.jobs({ state })
    if (verb === 'forget') return host.forgetPlugin(id)
    return [await (verb === 'retry' ? host.retryJob(id) : verb === 'cancel' ? host.cancelJob(id) : host.runTask(id))]
  }
  const { verb, reason } = question
  if (verb === 'list') return host.plugins()
  return [await (verb === 'reload' ? host.reload(id, operator) : verb === 'enable' ? host.enable(id, operator) : host.disable(id, operator, reason))]
}

function readQuestion (text: string): Question {
  try {
    return Question.parse(JSON.parse(text))
  } catch (cause) {
    const problems = cause instanceof z.ZodError ? cause.issues.map(({ path, message }) => `${path.join('.') || 'question'}: ${message}`).join('; ') : 'it is not JSON'
    throw new BadRequest(`The question cannot be read: ${problems}`, { cause })
  }
}

/** No host listens on the socket of this data folder. */
export class NoHostRuns extends Error {
  constructor (dataPath: string, options: ErrorOptions) {
    super(`No host runs on the data folder ${dataPath}. Start one with "npm start", or name its folder in PLATFORM_DATA_PATH.`, options)
    this.name = 'NoHostRuns'
  }
}

/** Asks the host that runs on this data folder. Rejects with the host's message when it refuses. */
export function askHost (dataPath: string, question: Question): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: socketPathOf(dataPath), method: 'POST', signal: AbortSignal.timeout(answerWithinMs) }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('error', reject).on('end', () => {
        const body = JSON.parse(text) as { error?: string }
        if (response.statusCode === 200) resolve(body)
        else reject(new Error(body.error))
      })
    })
    asked.on('error', (cause: NodeJS.ErrnoException) => reject(['ENOENT', 'ECONNREFUSED'].includes(cause.code ?? '') ? new NoHostRuns(dataPath, { cause }) : cause))
    asked.end(JSON.stringify(question))
  })
}
