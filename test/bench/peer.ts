// What every server under measure shares: the body it answers, and how it says where it listens.

export const token = `plat_${'0123456789abcdef'.repeat(4)}`

export const note = {
  id: '018f4d3a-3c6e-7bbb-8f7e-2f6d9b1c2d3e', title: 'A note', text: 'What it says', createdAt: '2025-02-19T08:00:00.000Z'
}

export const pluginCount = Number(process.argv[2] ?? 1)

/** The parent reads the port from the channel it opened, and asks there for the processor time used so far. */
export function announce (port: number): void {
  process.send?.(port)
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send?.(user + system)
  })
  process.once('disconnect', () => process.exit(0))
}
