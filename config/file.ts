// Reads the config file `<NODE_ENV>.json` and separates the host's settings from those of plugins.

import { readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { isContent, type Content } from './load.ts'

export interface File {
  /** The path by which messages name the file. */
  readonly path: string
  readonly content: Content
  /** The content of `plugins.config`: one section for each plugin id. */
  readonly plugins: Content
  readonly problems: readonly string[]
}

/** Reads and splits the file. The defaults suit development, so only production requires its file. */
export function readContent (absolute: string, root: string, environment: string): File {
  const path = relative(root, absolute)
  const empty = { path, content: {}, plugins: {} }
  let whole: unknown
  try {
    // The decoder reads over a byte order mark.
    whole = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(absolute)))
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' && environment !== 'production') return { ...empty, problems: [] }
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return { ...empty, problems: [`${path} is not UTF-8 text; save it as UTF-8`] }
    const how = code === 'ENOENT' ? 'is missing; it holds what differs in production' : code === undefined ? `is not JSON: ${message}` : `cannot be read: ${message}`
    return { ...empty, problems: [`${path} ${how}`] }
  }
  if (!isContent(whole)) return { ...empty, problems: [`${path} must hold one object`] }

  const { environment: misplaced, ...content } = whole
  const { config = {}, ...plugins } = isContent(content.plugins) ? content.plugins : {}
  const problems = [
    ...misplaced === undefined ? [] : [`${path}: "environment" cannot be set here; NODE_ENV chooses the file`],
    ...isContent(config) ? [] : [`${path}: "plugins.config" must be an object with a section for each plugin id`]
  ]
  return { path, problems, plugins: isContent(config) ? config : {}, content: isContent(content.plugins) ? { ...content, plugins } : content }
}
