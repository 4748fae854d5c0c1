// Gives one plugin its handle on the resource `host`. The audit log names the plugin for each action that an operator asked for through it.

import { isCaller, writeAs } from '../access/index.ts'
import type { Host, Operator } from '../contract/index.ts'

export function createHostHandle (host: Host, plugin: string): Host {
  /** Only the plugin claims that the operator asked for it, unless the plugin passes the user of a request. `isByPlugin` records which it was. */
  const asked = <T>({ id, name, user }: Operator, work: () => T): T =>
    writeAs({ plugin, isByPlugin: !(isCaller(user) && user.id === id && user.name === name) }, work)

  return {
    ...host,
    reload: (id, by) => asked(by, () => host.reload(id, by)),
    enable: (id, by) => asked(by, () => host.enable(id, by)),
    disable: (id, by, reason) => asked(by, () => host.disable(id, by, reason))
  }
}
