// IPv4 addresses and networks as numbers; IPv6 as text.

export interface Network {
	/** The first address of the network. */
	base: number
	prefix: number
}

/** The address as a number, or null. Takes no leading zeros, as the daemon. */
export function parseIpv4(text: string): number | null {
	const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
	if (!match) return null
	let value = 0
	for (const part of match.slice(1)) {
		if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return null
		value = value * 256 + Number(part)
	}
	return value
}

export function formatIpv4(value: number): string {
	return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')
}

export function networkSize(prefix: number): number {
	return 2 ** (32 - prefix)
}

/** "10.59.37.1/24": the network that the address is in, or null. */
export function parseNetwork(text: string): Network | null {
	const match = /^([^/]+)\/(\d{1,2})$/.exec(text)
	const address = match && parseIpv4(match[1]!)
	const prefix = match ? Number(match[2]) : 33
	if (address === null || prefix > 32) return null
	return { base: Math.floor(address / networkSize(prefix)) * networkSize(prefix), prefix }
}

export function contains(network: Network, address: number): boolean {
	return address >= network.base && address < network.base + networkSize(network.prefix)
}

export function overlaps(a: Network, b: Network): boolean {
	return contains(a, b.base) || contains(b, a.base)
}

export function isIpv6(text: string): boolean {
	if (!/^[0-9a-f:.]+$/i.test(text) || !text.includes(':')) return false
	try {
		return new URL(`http://[${text}]/`).hostname.length > 2
	} catch {
		return false
	}
}

/** An IPv6 address as the daemon spells it (RFC 5952), or null. */
export function spellIpv6(text: string): string | null {
	return isIpv6(text) ? new URL(`http://[${text}]/`).hostname.slice(1, -1) : null
}

/** Whether the internet may reach it: global unicast. */
export const isGlobalIpv6 = (text: string): boolean => /^[23][0-9a-f]{3}:/i.test(text)

/** Whether the internet may reach it: not private, loopback, link-local or for documentation. */
export function isWanCandidate(address: number): boolean {
	const within = (network: string) => contains(parseNetwork(network)!, address)
	return ![
		'0.0.0.0/8', '127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '169.254.0.0/16',
		'255.255.255.255/32', '192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24',
	].some(within)
}
