// Writes a plugin in plain JavaScript, for tests that run the host on it.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** `manifest` is what its manifest says beside `id` and `host`; `code` is its entry. */
export async function writePlugin (folder: string, id: string, manifest: object, code: string): Promise<void> {
  await mkdir(join(folder, id), { recursive: true })
  await writeFile(join(folder, id, 'package.json'), JSON.stringify({
    name: id, version: '1.0.0', type: 'module', exports: './index.js', bulkhead: { id, host: '^1.0.0', ...manifest }
  }))
  await writeFile(join(folder, id, 'index.js'), code)
}
