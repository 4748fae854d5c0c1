// The instants of cron expressions in time zones, compared with a scan of every minute by the zone's own clock.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TaskRecord } from '../../../core/handover/task-record.ts'
import { openTasks } from '../../../core/tasks/index.ts'
import { readCron } from '../../../core/tasks/schedule/cron.ts'
import { createFakeClock } from '../../support/fake-clock.ts'
import { createLog, openParts } from '../../support/part.ts'
import { connectTasks } from '../../support/postgres.ts'

const minuteMs = 60_000
const hourMs = 3_600_000
const dayMs = 86_400_000
const isLong = process.env.BULKHEAD_LONG === '1'

/** What a clock of the zone shows, from the text that ICU writes for people: the code under test reads parts. */
function wallClock (timeZone: string): (atMs: number) => number {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' })
  return atMs => Date.parse(`${format.format(atMs).replace(' ', 'T')}Z`)
}

interface Shift { readonly atMs: number, readonly byMs: number }

/** Where the zone's clock is put forward or back. */
function findShifts (wall: (atMs: number) => number, fromMs: number, toMs: number): readonly Shift[] {
  const shifts: Shift[] = []
  const offset = (atMs: number): number => wall(atMs) - atMs
  for (let dayAtMs = fromMs; dayAtMs < toMs; dayAtMs += dayMs) {
    let [lowMs, highMs] = [dayAtMs, dayAtMs + dayMs]
    if (offset(lowMs) === offset(highMs)) continue
    while (highMs - lowMs > minuteMs) {
      const middleMs = lowMs + Math.floor((highMs - lowMs) / 2 / minuteMs) * minuteMs
      if (offset(middleMs) === offset(lowMs)) lowMs = middleMs
      else highMs = middleMs
    }
    shifts.push({ atMs: highMs, byMs: offset(highMs) - offset(lowMs) })
  }
  return shifts
}

interface Rule { readonly expression: string, readonly isHourly?: boolean, readonly fits: (wall: Date) => boolean }

const at = (hour: number, minute: number) => (wall: Date): boolean => wall.getUTCHours() === hour && wall.getUTCMinutes() === minute
const rules: readonly Rule[] = [
  { expression: '0 9 * * *', fits: at(9, 0) },
  { expression: '15 2 * * *', fits: at(2, 15) },
  { expression: '0 0 * * *', fits: at(0, 0) },
  { expression: '*/20 1-3 * * *', fits: wall => wall.getUTCMinutes() % 20 === 0 && [1, 2, 3].includes(wall.getUTCHours()) },
  { expression: '45 23 * * sun,mon', fits: wall => at(23, 45)(wall) && wall.getUTCDay() < 2 },
  { expression: '*/5 2 * * *', fits: wall => wall.getUTCMinutes() % 5 === 0 && wall.getUTCHours() === 2 },
  { expression: '30 */2 * * *', fits: wall => wall.getUTCMinutes() === 30 && wall.getUTCHours() % 2 === 0 },
  { expression: '0 * * * *', isHourly: true, fits: wall => wall.getUTCMinutes() === 0 },
  { expression: '*/30 * * * *', isHourly: true, fits: wall => wall.getUTCMinutes() % 30 === 0 }
]

/** What plugins/README.md promises, minute by minute. */
function scan ({ fits, isHourly = false }: Rule, shown: ReadonlyMap<number, number>, { atMs: shiftMs, byMs }: Shift): number[] {
  return [...shown].filter(([atMs, wallMs]) => {
    if (isHourly) return fits(new Date(wallMs))
    const isRepeated = byMs < 0 && atMs >= shiftMs && atMs < shiftMs - byMs
    const isMadeUp = byMs > 0 && atMs >= shiftMs && atMs < shiftMs + byMs
    return (!isRepeated && fits(new Date(wallMs))) || (isMadeUp && fits(new Date(wallMs - byMs)))
  }).map(([atMs]) => atMs)
}

/** Resolves with the number of shifts. */
async function check (timeZone: string, fromMs: number, toMs: number): Promise<number> {
  const wall = wallClock(timeZone)
  const nexts = await Promise.all(rules.map(async rule => ({ rule, next: await readCron(rule.expression, timeZone) })))
  const shifts = findShifts(wall, fromMs, toMs)
  for (const shift of shifts) {
    const [beginMs, endMs] = [shift.atMs - 30 * hourMs, shift.atMs + 30 * hourMs]
    const shown = new Map<number, number>()
    for (let atMs = beginMs; atMs < endMs; atMs += minuteMs) shown.set(atMs, wall(atMs))
    for (const { rule, next } of nexts) {
      const found: number[] = []
      for (let atMs = next(beginMs - 1); atMs < endMs; atMs = next(atMs)) found.push(atMs)
      const name = `${rule.expression} in ${timeZone} around ${new Date(shift.atMs).toISOString()}`
      assert.deepEqual(found.map(ms => new Date(ms).toISOString()), scan(rule, shown, shift).map(ms => new Date(ms).toISOString()), name)
    }
  }
  return shifts.length
}

// 30, 45 and 60 minutes, two hours, a whole day, at midnight, and no shift at all.
const oddZones = [
  ['Australia/Lord_Howe', 2026, 2], ['Pacific/Chatham', 2026, 2], ['Europe/Berlin', 2026, 2], ['Antarctica/Troll', 2026, 2],
  ['Pacific/Apia', 2011, 3], ['America/Caracas', 2016, 1], ['America/Havana', 2026, 2], ['Asia/Kolkata', 2026, 0]
] as const
for (const [zone, year, shifts] of oddZones) {
  test(`each run around the shifts of ${zone} is when a scan of its clock says`, async () => {
    assert.equal(await check(zone, Date.UTC(year, 0, 1), Date.UTC(year + 1, 0, 1)), shifts)
  })
}

test('each run in every time zone for two years is when a scan of its clock says', { skip: !isLong && 'takes minutes; BULKHEAD_LONG=1 runs it' }, async () => {
  let shifts = 0
  for (const zone of Intl.supportedValuesOf('timeZone')) shifts += await check(zone, Date.UTC(2026, 0, 1), Date.UTC(2028, 0, 1))
  assert.ok(shifts > 300)
})

test('the next instant is later and found within milliseconds, from each minute of a shift', async () => {
  for (const [zone, around] of [['Australia/Lord_Howe', '2026-04-04T15:00Z'], ['Australia/Lord_Howe', '2026-10-03T15:30Z'], ['Pacific/Chatham', '2026-04-04T14:00Z']] as const) {
    for (const expression of ['0 9 * * *', '0 * * * *', '* * * * *', '0 0 29 2 *']) {
      const next = await readCron(expression, zone)
      let slowestMs = 0
      for (let afterMs = Date.parse(around) - 2 * hourMs; afterMs < Date.parse(around) + 2 * hourMs; afterMs += 179_999) {
        const begunAt = process.cpuUsage()
        const foundMs = next(afterMs)
        const { user, system } = process.cpuUsage(begunAt)
        slowestMs = Math.max(slowestMs, (user + system) / 1_000)
        assert.ok(foundMs > afterMs, `${expression} in ${zone} after ${new Date(afterMs).toISOString()}`)
      }
      assert.ok(slowestMs < 250, `${expression} in ${zone} took ${slowestMs} ms`)
    }
  }
})

test('an expression that replicas read differently or that misleads its reader is refused', async () => {
  const refused: readonly [string, string, RegExp][] = [
    ['H 3 * * *', 'UTC', /"H": "H" stands for a random number/], ['H(0-29)/10 * * * *', 'UTC', /random/], ['0 3 * * H', 'UTC', /random/], ['0 3 * * SUNH', 'UTC', /random/],
    ['*/90 * * * *', 'UTC', /"\*\/90": a step of 90 is larger than the range, which has 60 values/], ['0 */25 * * *', 'UTC', /step of 25/], ['0 0 */32 * *', 'UTC', /step of 32/],
    ['0 0 1 */13 *', 'UTC', /step of 13/], ['0 0 * * */9', 'UTC', /step of 9/], ['1-5/10 * * * *', 'UTC', /5 values/], ['0,50/20 * * * *', 'UTC', /10 values/], ['0 0 * * mon-fri/6', 'UTC', /5 values/],
    ['*/0 * * * *', 'UTC', /repeat/], ['59-10 * * * *', 'UTC', /range/i], ['60 * * * *', 'UTC', /0-59/], ['0 9 31 2 *', 'UTC', /day of month/], ['0 9 31 4,6 *', 'UTC', /day of month/],
    ['0 9 1W * *', 'UTC', /characters/], ['FREQ=DAILY;COUNT=1 * * * *', 'UTC', /./], ['1.5 * * * *', 'UTC', /characters/],
    ['0 3 * * *', '', /no time zone ""/], ['0 3 * * *', ' ', /no time zone/], ['0 3 * * *', 'local', /no time zone "local"/], ['0 3 * * *', 'system', /no time zone/], ['0 3 * * *', 'Mars/Base', /no time zone "Mars\/Base"/]
  ]
  for (const [expression, zone, message] of refused) await assert.rejects(readCron(expression, zone), { message }, `${expression} in ${zone}`)
})

test('names, lists, steps, the last day of a month, fixed offsets and zones in any case are read', async () => {
  const first = async (expression: string, zone = 'UTC'): Promise<string> => new Date((await readCron(expression, zone))(Date.UTC(2026, 3, 4, 14))).toISOString()
  assert.deepEqual(await Promise.all([
    first('*/60 * * * *'), first('5/15 * * * *'), first('0 9 ? * THU'), first('0 9 L 2 *'), first('0 9 * * 5#5'), first('0 0 1 MAR *'), first('0 0 * * 7'),
    first('0 9 * * *', 'UTC+3'), first('0 9 * * *', 'utc-03:30'), first('0 9 * * *', '+05:45'), first('0 9 * * *', 'europe/paris')
  ]), [
    '2026-04-04T15:00:00.000Z', '2026-04-04T14:05:00.000Z', '2026-04-09T09:00:00.000Z', '2027-02-28T09:00:00.000Z', '2026-05-29T09:00:00.000Z', '2027-03-01T00:00:00.000Z', '2026-04-05T00:00:00.000Z',
    '2026-04-05T06:00:00.000Z', '2026-04-05T12:30:00.000Z', '2026-04-05T03:15:00.000Z', '2026-04-05T07:00:00.000Z'
  ])
})

/** A replica's own tasks at an instant, on a clock that the test moves: these need no database. */
async function follow (
  startAtMs: number, expression: string, timezone: string, forMs: number
): Promise<{ runs: string[], entries: Record<string, unknown>[] }> {
  const clock = createFakeClock(startAtMs)
  const runs: string[] = []
  const entries: Record<string, unknown>[] = []
  const resource = await openTasks({ connections: connectTasks('postgres://nobody@127.0.0.1:1/nowhere'), maxConnections: 2, historyHours: 1, drainMs: 50 }, openParts({ clock }))
  const task: TaskRecord = {
    kind: 'cron', name: 'count', expression, options: { timezone, once: 'replica' }, handler: () => { runs.push(new Date(clock.now()).toISOString()) }
  }
  const end = await resource.value.register({ plugin: 'notes', log: createLog(entries), tasks: [task] })
  await clock.advance(forMs)
  await end()
  await resource.close()
  return { runs, entries }
}

test('a task runs on the day on which its zone\'s clock goes back by half an hour', async () => {
  const startAtMs = Date.parse('2026-04-04T14:01Z')
  const daily = await follow(startAtMs, '0 9 * * *', 'Australia/Lord_Howe', 34 * hourMs)
  assert.deepEqual(daily.runs, ['2026-04-04T22:30:00.000Z', '2026-04-05T22:30:00.000Z'])
  const hourly = await follow(startAtMs, '0 * * * *', 'Australia/Lord_Howe', 3 * hourMs)
  assert.deepEqual(hourly.runs, ['2026-04-04T15:30:00.000Z', '2026-04-04T16:30:00.000Z'])
  assert.deepEqual([...daily.entries, ...hourly.entries], [])
})

test('a next run that cannot be computed is logged by the plugin with task, expression and zone', async () => {
  // The last instant that a Date can hold.
  const { runs, entries } = await follow(8_640_000_000_000_000, '0 9 * * *', 'Europe/Berlin', 60_000)
  assert.deepEqual(runs, [])
  assert.equal(entries.length, 1)
  assert.deepEqual([entries[0]?.task, entries[0]?.cron, entries[0]?.timezone], ['notes/count', '0 9 * * *', 'Europe/Berlin'])
  assert.match(String(entries[0]?.message), /next run of task "notes\/count" \("0 9 \* \* \*" in Europe\/Berlin\) could not be computed/)
})
