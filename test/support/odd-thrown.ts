// Values that plugin code may throw and that are hard to read, each by a name.

const thrower = (): never => { throw new Error('a trap') }
const revoked = (target: object): object => {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}
const trapped = (target: object): object => new Proxy(target, {
  get: thrower, getPrototypeOf: thrower, ownKeys: thrower, has: thrower, getOwnPropertyDescriptor: thrower
})
const errorWith = (key: string, descriptor: PropertyDescriptor): Error => Object.defineProperty(new Error('odd'), key, { configurable: true, ...descriptor })

const circular = (): Error => {
  const error = new Error('circular')
  error.cause = error
  return error
}

const deep = (): Error => {
  let error = new Error('innermost')
  for (let level = 0; level < 1_000; level++) error = new AggregateError([error], '', { cause: error })
  return error
}

export const oddValues: readonly (readonly [name: string, create: () => unknown])[] = [
  ['an error whose message is a Symbol', () => errorWith('message', { value: Symbol('s') })],
  ['an error whose name is a Symbol', () => errorWith('name', { value: Symbol('s') })],
  ['an error whose code is a Symbol', () => errorWith('code', { value: Symbol('s') })],
  ...['message', 'name', 'stack', 'code', 'cause', 'status', 'expose', 'errors', 'toString', 'constructor', 'then'].map(key =>
    [`an error with a throwing getter for ${key}`, () => errorWith(key, { get: thrower })] as const),
  ['an error whose stack is an object', () => errorWith('stack', { value: {} })],
  ['an error whose toString throws', () => errorWith('toString', { value: thrower })],
  ['an error without a prototype', () => Object.setPrototypeOf(new Error('bare'), null) as unknown],
  ['an error whose prototype is a trapped proxy', () => Object.setPrototypeOf(new Error('bare'), trapped({})) as unknown],
  ['a revoked proxy of an error', () => revoked(new Error('gone'))],
  ['a revoked proxy of a function', () => revoked(() => undefined)],
  ['a trapped proxy', () => trapped(new Error('trapped'))],
  ['an object with throwing getters', () => ({ get code () { return thrower() }, get message () { return thrower() } })],
  ['an object whose toJSON throws', () => ({ toJSON: thrower, toString: thrower, [Symbol.toPrimitive]: thrower })],
  ['an object without a prototype', () => Object.create(null) as unknown],
  ['an error with NUL and half a surrogate pair', () => new Error('a\0b\ud800c')],
  ['an error with a megabyte of emoji', () => new Error('x' + '😀'.repeat(250_000))],
  ['an error that causes itself', circular],
  ['a chain of a thousand errors', deep],
  ['an AggregateError of a revoked proxy', () => new AggregateError([revoked({})], '')],
  ['an error whose list of errors has a Symbol for a length', () => errorWith('errors', { value: new Proxy([], { get: () => Symbol('s') }) })],
  ['undefined', () => undefined],
  ['null', () => null],
  ['a Symbol', () => Symbol('thrown')],
  ['a BigInt', () => 10n ** 30n],
  ['a text with NUL', () => 'a\0b'],
  ['a function', () => thrower],
  ['NaN', () => NaN]
]
