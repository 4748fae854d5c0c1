// Which addresses plugins may reach: those of the public internet, and what the operator has named beside them.

import ipaddr from 'ipaddr.js'

/** Of `PLATFORM_EGRESS_ALLOW`: a host, or a range when `prefix` is there; on every port unless one is named. */
export interface EgressException {
  readonly host: string
  readonly prefix?: number | undefined
  readonly port?: number | undefined
}

export interface AddressRules {
  /** Every address of such a host may be reached. */
  isHostAllowed (host: string, port: number): boolean
  isAllowed (address: string, port: number): boolean
}

type Address = ReturnType<typeof ipaddr.parse>

/** All that is given out to anybody in IPv6; what embeds an IPv4 address lies outside, or is a range with a name of its own. */
const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3')
/** Public by its number, and the agent of the machine's own cloud by what answers there. */
const azureAgent = '168.63.129.16'

/** Whether the address is of the public internet; false for what is none. */
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

/** In its one spelling: four decimal numbers, or an IPv6 address; nothing that another parser might read as something else. */
function read (text: string): Address | undefined {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text) ? ipaddr.parse(text) : undefined
}
