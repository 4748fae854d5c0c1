// Renders the state of a master key change as the table that `npm run keys` prints.

import type { KeyStatus } from '../encryption/index.ts'
import { renderTable } from './text-table.ts'

export function renderKeys ({ keyId, previousKeyId, isNewest, keys, sealed }: KeyStatus): string {
  const others = keys.map(({ keyId }) => keyId).filter(id => id !== keyId)
  const roleOf = (id: string): string => id === keyId ? 'PLATFORM_MASTER_KEY, or the data folder' : id === previousKeyId ? 'PLATFORM_MASTER_KEY_PREVIOUS' : 'not known to this host'
  const hasOther = sealed.some(({ counts }) => counts !== null && 'other' in counts)
  const ids = [keyId, ...others]
  return [
    ...renderTable([['KEY', 'SET IN', 'REPLICAS'], ...keys.map(({ keyId: id, replicas }) => [id, roleOf(id), String(replicas)])]),
    '',
    ...sealed.length === 0 ? ['No plugin has sealed anything.'] : renderTable([
      ['SEALED', ...ids, ...hasOther ? ['OTHER'] : []],
      ...sealed.map(({ plugin, name, counts }) => [
        `${plugin}/${name}`, ...ids.map(id => counts === null ? '?' : String(counts[id] ?? 0)), ...hasOther ? [String(counts?.other ?? 0)] : []
      ])
    ]),
    '',
    verdict({ keyId, previousKeyId, isNewest, keys, sealed }, others)
  ].join('\n')
}

function verdict ({ keyId, previousKeyId, isNewest, keys, sealed }: KeyStatus, others: readonly string[]): string {
  if (!isNewest) {
    return 'Another replica has started with a newer PLATFORM_MASTER_KEY. Give this one the same, and its own as PLATFORM_MASTER_KEY_PREVIOUS.'
  }
  if (others.length === 0) {
    return previousKeyId === null ? 'Everything is sealed under the current key.' : 'Everything is sealed under the new key: PLATFORM_MASTER_KEY_PREVIOUS can be removed.'
  }
  const left = sealed.flatMap(({ plugin, name, counts }) => {
    const elsewhere = Object.entries(counts ?? {}).reduce((sum, [id, count]) => id === keyId ? sum : sum + count, 0)
    return elsewhere > 0 ? [`${elsewhere} of ${plugin}/${name}`] : []
  })
  const away = [...new Set(sealed.filter(({ counts }) => counts === null).map(({ plugin }) => plugin))]
  const using = keys.filter(({ keyId: id, replicas }) => id !== keyId && replicas > 0).map(({ keyId: id, replicas }) => `${replicas} with ${id}`)
  const reasons = [
    ...using.length > 0 ? [`Replicas still seal under another key (${using.join(', ')}): restart them with the new settings. One that was killed counts for two and a half minutes.`] : [],
    ...left.length > 0 ? [`To be sealed again: ${left.join(', ')}. The log says what cannot be.`] : [],
    ...away.map(plugin => `The plugin "${plugin}" does not run, and only it can seal its values again: start it, or, if its values are not needed any more, "npm run keys -- forget ${plugin} --yes".`)
  ]
  const next = reasons.length === 0 ? ['The sealed values are being counted; ask again, or "npm run keys -- rewrap" to do it now.'] : reasons
  return [`${others.join(' and ')} must stay in PLATFORM_MASTER_KEY_PREVIOUS.`, ...next].join('\n  ')
}
