// Measures whether the time of some work grows faster than what it is given.

const best = (times: number, work: () => void): number => Math.min(...Array.from({ length: times }, () => {
  const before = process.cpuUsage()
  work()
  return process.cpuUsage(before).user / 1_000
}))

/**
 * A sentence when the work takes long on a text of at most 32,768 characters, and more than three times as long as on half of it; undefined
 * otherwise. Work that grows with the text takes far less; the best of several times is what another load of the machine does not change.
 */
export function findGrowth (textOf: (length: number) => string, work: (text: string) => void): string | undefined {
  let onceMs = 0
  for (let length = 16; length <= lengthMax; length = nextLength(length, onceMs)) {
    const [text, half] = [textOf(length), textOf(length / 2)]
    onceMs = best(1, () => work(text))
    if (onceMs < slowMs) continue
    const ms = best(4, () => work(text))
    const halfMs = best(4, () => work(half))
    if (ms <= slowMs || ms <= 3 * halfMs) continue
    return `${ms.toFixed(1)} ms for ${text.length} characters, ${halfMs.toFixed(1)} ms for ${half.length}: ${JSON.stringify(text.slice(0, 60))}`
  }
  return undefined
}

/** Of processor time, which no other process takes part in. */
const slowMs = 15
const lengthMax = 32_768

/** In small steps at first, and smaller ones where time begins to show: what doubles with each character would never come back from a large one. */
const nextLength = (length: number, ms: number): number =>
  length < 256 ? length + (ms > 0.1 ? 2 : 8) : ms < 0.02 ? Math.max(lengthMax, length * 2) : length * 2
