// Decides which addresses plugins may reach: those of the public internet, and the exceptions that the operator has
// named.

import ipaddr from 'ipaddr.js'

/**
 * One exception from `PLATFORM_EGRESS_ALLOW`: a host, or an address range when `prefix` is set. It applies to every
 * port unless `port` is set.
 */
export interface EgressException {
  readonly host: string
  readonly prefix?: number | undefined
  readonly port?: number | undefined
}

export interface AddressRules {
  /** True when the operator has named this host. Every address of such a host may be reached. */
  isHostAllowed (host: string, port: number): boolean
  isAllowed (address: string, port: number): boolean
}

type Address = ReturnType<typeof ipaddr.parse>

/**
 * The IPv6 range of public addresses. An address that embeds an IPv4 address lies outside it, or belongs to a range
 * that ipaddr.js names separately.
 */
const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3')
/** This address lies in a public range, but the agent of the machine's own cloud answers there. */
const azureAgent = '168.63.129.16'

/** True for an address of the public internet; false also for a text that is not an address. */
export function isPublic (text: string): boolean {
  const address = read(text)
  if (address?.range() !== 'unicast') return false
  return address instanceof ipaddr.IPv6 ? address.match(globalUnicast) : address.toString() !== azureAgent
}

export function createAddressRules (exceptions: readonly EgressException[]): AddressRules {
  const at = (port: number): readonly EgressException[] => exceptions.filter(exception => (exception.port ?? port) === port)
  const ranges = new Map(exceptions.flatMap(exception => {
    const { host, prefix } = exception
    const address = read(host)
    return address === undefined ? [] : [[exception, [address, prefix ?? bitsOf(address)]] as [EgressException, [Address, number]]]
  }))
  return {
    isHostAllowed: (host, port) => at(port).some(exception => exception.host === host && !ranges.has(exception)),
    isAllowed (text, port) {
      if (isPublic(text)) return true
      const address = read(text)
      return address !== undefined && at(port).some(exception => {
        const [network, bits] = ranges.get(exception) ?? []
        return network !== undefined && network.kind() === address.kind() && address.match(network, bits)
      })
    }
  }
}

const bitsOf = (address: Address): number => address.kind() === 'ipv4' ? 32 : 128

/**
 * Parses four decimal numbers or an IPv6 address. Every other spelling gives undefined, because another parser might
 * read it as a different address.
 */
function read (text: string): Address | undefined {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text) ? ipaddr.parse(text) : undefined
}
