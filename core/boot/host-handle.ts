// One plugin's handle on the resource `host`: what an operator asked through it names the plugin in the audit log.

import { isCaller, writeAs } from '../access/index.ts'
import type { Host, Operator } from '../contract/index.ts'

export function createHostHandle (host: Host, plugin: string): Host {
  /** That the operator asked for it is the plugin's word, unless the plugin hands over the user of a request. */
  const asked = <T>({ id, name, user }: Operator, work: () => T): T =>
    writeAs({ plugin, isByPlugin: !(isCaller(user) && user.id === id && user.name === name) }, work)

  return {
    ...host,
    reload: (id, by) => asked(by, () => host.reload(id, by)),
    enable: (id, by) => asked(by, () => host.enable(id, by)),
    disable: (id, by, reason) => asked(by, () => host.disable(id, by, reason))
  }
}
