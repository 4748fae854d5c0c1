// A plugin's own settings: as strict as the host's, and apart from them.

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadSettings, type Loaded } from '../../config/schema.ts'
import type { ConfigFields } from '../../core/contract/index.ts'
import { temporaryFolder } from '../support/host.ts'

async function load (t: TestContext, config: object, env: Record<string, string> = {}): Promise<Loaded> {
  const root = await temporaryFolder(t)
  await mkdir(join(root, 'config'))
  await writeFile(join(root, 'config/development.json'), JSON.stringify({ plugins: { config } }))
  return loadSettings({ env, folder: join(root, 'config'), root })
}

const fields: ConfigFields = {
  retentionDays: { doc: 'Days an invoice is kept', format: 'nat', default: 30, env: 'INVOICES_RETENTION_DAYS' },
  currency: { doc: 'What is billed in', format: ['EUR', 'USD'], default: 'EUR' },
  decimals: { doc: 'After the point', format: [0, 2], default: 2, env: 'INVOICES_DECIMALS' },
  apiKey: { doc: 'Of the bank', format: 'string', default: '', env: 'INVOICES_API_KEY', sensitive: true },
  recipients: { doc: 'Who hears', format: 'list', default: [], env: 'INVOICES_RECIPIENTS' }
}

test('a section is what the fields say, then the file, then the environment', async (t) => {
  const loaded = await load(t, { invoices: { retentionDays: 60, currency: 'USD' } }, { INVOICES_RETENTION_DAYS: '90', INVOICES_API_KEY: 'hunter2', INVOICES_DECIMALS: '0' })
  const { values, problems } = loaded.pluginSettings({ id: 'invoices', fields })
  assert.deepEqual(problems, [])
  assert.deepEqual(values, { retentionDays: 90, currency: 'USD', decimals: 0, apiKey: 'hunter2', recipients: [] })
  assert.deepEqual(loaded.configured, ['invoices'])

  const rows = loaded.describe().filter(({ name }) => name.startsWith('plugins.config.'))
  assert.deepEqual(rows.map(({ name, value, source }) => [name.slice('plugins.config.invoices.'.length), value, source]), [
    ['retentionDays', '90', 'environment INVOICES_RETENTION_DAYS'], ['currency', 'USD', 'config/development.json'],
    ['decimals', '0', 'environment INVOICES_DECIMALS'], ['apiKey', '[secret]', 'environment INVOICES_API_KEY'], ['recipients', '', 'default']
  ])
})

test('a plugin that is loaded again is described once', async (t) => {
  const loaded = await load(t, {})
  loaded.pluginSettings({ id: 'invoices', fields })
  const count = loaded.describe().length
  loaded.pluginSettings({ id: 'invoices', fields })
  assert.equal(loaded.describe().length, count)
})

test('values that do not fit and keys nobody declared are problems that name the plugin', async (t) => {
  const loaded = await load(t, { invoices: { retentionDay: 60, currency: 'YEN' } }, { INVOICES_RETENTION_DAYS: '12abc', INVOICES_DECIMALS: '2abc' })
  assert.deepEqual(loaded.pluginSettings({ id: 'invoices', fields }).problems, [
    'config/development.json: "plugins.config.invoices.retentionDay" is not a setting; the nearest is "retentionDays"',
    'plugins.config.invoices.retentionDays: INVOICES_RETENTION_DAYS is "12abc"; it must be a whole number, 0 or more',
    'plugins.config.invoices.currency: config/development.json is "YEN"; it must be one of EUR, USD',
    'plugins.config.invoices.decimals: INVOICES_DECIMALS is "2abc"; it must be one of 0, 2'
  ])
  const wrong = await load(t, { invoices: 7 })
  assert.deepEqual(wrong.pluginSettings({ id: 'invoices', fields }).problems, ['config/development.json: "plugins.config.invoices" must be an object'])
})

test('a field that is declared wrongly or reads a setting of the host is a problem', async (t) => {
  const loaded = await load(t, {})
  const declared = {
    'not-a-name': { doc: 'x', format: 'nat', default: 1 },
    nothing: 7,
    mute: { doc: '', format: 'nat', default: 1 },
    odd: { doc: 'x', format: 'natural', default: 1 },
    unfit: { doc: 'x', format: 'nat', default: -1 },
    more: { doc: 'x', format: 'nat', default: 1, requierd: true },
    lower: { doc: 'x', format: 'nat', default: 1, env: 'lower' },
    thief: { doc: 'x', format: 'string', default: '', env: 'PLATFORM_MASTER_KEY' },
    fine: { doc: 'x', format: 'nat', default: 1 }
  } as unknown as ConfigFields
  const { values, problems } = loaded.pluginSettings({ id: 'invoices', fields: declared })
  assert.deepEqual(values, { fine: 1 })
  const said = [/not-a-name: the name/, /nothing: must be \{/, /mute: doc/, /odd: format must be .*nat/, /unfit: the default must be a whole number/,
    /more: "requierd" is not part/, /lower: env must be capitals/, /thief: env "PLATFORM_MASTER_KEY" is a setting of the host/]
  assert.equal(problems.length, said.length)
  for (const [at, pattern] of said.entries()) assert.match(problems[at] ?? '', pattern)
})
