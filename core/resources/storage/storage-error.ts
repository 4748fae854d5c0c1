// Maps errors of the storage client to the error catalogue. The client says what happened only in its message.

import { DeadlinePassed } from '../../concurrency/deadline.ts'
import { AnswerableError, BadGateway, Conflict, NotFound, ServiceUnavailable } from '../../contract/index.ts'
import { SystemSilent } from '../pulse.ts'

const retryAfterMs = 1_000

interface ParsedError { kind: string, persistence: string, operation: string, code: string | undefined, message: string }

/** Parses a message such as `NotFound (permanent) at read, context: { … } => S3Error { code: "NoSuchKey", … }`. */
export function parseStorageError (error: unknown): ParsedError {
  const message = error instanceof Error ? error.message : String(error)
  const [, kind = '', persistence = '', operation = ''] = /^(\w+) \((\w+)\) at (\w+)/.exec(message) ?? []
  return {
    // In a folder, a key can lie where another key needs a directory; the client has no error kind for that.
    kind: kind === 'Unexpected' && /=> (is|not) a directory/.test(message) ? 'NotADirectory' : kind,
    persistence,
    operation,
    code: /S3Error \{ code: "(\w+)"/.exec(message)?.[1],
    message
  }
}

/** True when the service itself reported the error; false when the error happened on the way to the service. */
export function isStorageAnswer (error: unknown): boolean {
  const { kind, code } = parseStorageError(error)
  return code !== undefined || !['', 'Unexpected', 'ConfigInvalid'].includes(kind)
}

/** Returns the matching error of the catalogue. An error that does not come from the storage is returned unchanged. */
export function mapStorageError (cause: unknown): unknown {
  if (cause instanceof AnswerableError) return cause
  if (cause instanceof DeadlinePassed) return new ServiceUnavailable('The object storage did not answer in time.', { cause })
  if (cause instanceof SystemSilent) return new ServiceUnavailable('The object storage does not answer at the moment. Try again later.', { cause, retryAfterMs })
  const { kind, persistence, operation } = parseStorageError(cause)
  if (kind === '') return isSystemError(cause) ? new ServiceUnavailable('The object storage is unavailable.', { cause }) : cause
  switch (kind) {
    case 'NotFound': return new NotFound('There is no such object.', { cause })
    case 'ConditionNotMatch': return new Conflict('The object has changed meanwhile.', { cause })
    case 'AlreadyExists':
    case 'IsADirectory':
    case 'NotADirectory':
      return operation === 'read'
        ? new NotFound('There is no such object.', { cause })
        : new Conflict('The key lies inside another object, or another object lies inside it.', { cause })
    case 'PermissionDenied': return new BadGateway('The object storage refused the host.', { cause })
    case 'RateLimited': return new ServiceUnavailable('The object storage is overloaded.', { cause })
    case 'Unexpected':
      if (persistence !== 'permanent') return new ServiceUnavailable('The object storage is unavailable.', { cause })
  }
  return new BadGateway('The object storage answered in an unexpected way.', { cause })
}

function isSystemError (error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}

/** Tells the operator which setting to check when the bucket cannot be used. */
export function explainBucket ({ endpoint, bucket }: { endpoint: string, bucket: string }, error: unknown): string {
  const { kind, code, message } = parseStorageError(error)
  const at = `at ${URL.canParse(endpoint) ? new URL(endpoint).host : endpoint}`
  if (code === 'NoSuchBucket') return `There is no bucket "${bucket}" ${at}. Create it (\`mc mb <alias>/${bucket}\`), or name another in MINIO_BUCKET.`
  if (code === 'InvalidAccessKeyId') return `The object storage ${at} does not know the access key. Check MINIO_ACCESS_KEY.`
  if (code === 'SignatureDoesNotMatch') return `The object storage ${at} refused the signature. Check MINIO_SECRET_KEY (and MINIO_REGION).`
  if (kind === 'PermissionDenied') {
    return `The object storage ${at} does not permit this access key to list the bucket "${bucket}". Check MINIO_ACCESS_KEY, MINIO_SECRET_KEY and the key's policy.`
  }
  if (kind === 'ConfigInvalid') return `The object storage ${at} refused the settings (${code ?? message}). Check MINIO_BUCKET and MINIO_REGION.`
  return `The object storage ${at} does not answer as it should: ${message}. Check MINIO_ENDPOINT, and that the server can be reached from here.`
}
