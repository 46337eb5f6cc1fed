// The daemon's document as the pages read it, and the rows that the tables show.

import { contains, formatIpv4, isGlobalIpv6, isWanCandidate, networkSize, parseIpv4, parseNetwork, spellIpv6 } from '@shared/ip'
import type { Json } from '@shared/patch'

export type DeviceKind = 'client' | 'server'

export interface Client {
	name: string
	kind: DeviceKind
	allowDnsInjection: boolean
	allowAutoPortForward: boolean
	wanIp: string | null
}

export type SubnetDns = { type: 'default' } | { type: 'device'; ip: string } | { type: 'custom'; servers: string[] }

export interface Subnet {
	name: string
	clients: Record<string, Client>
	dns: SubnetDns
	wanIp: string | null
	/** Its IPv6 network, "fd5e:1c0a:77b2:4d10::/64"; not there where it has none. */
	ipv6?: string
}

/** For how long a protocol of an automatic forward stays open: `until` is an ISO time, `seconds` 0 means without end. */
interface LeaseTerm {
	seconds: number
	until: string | null
}

export interface Lease {
	via: 'pcp' | 'nat-pmp' | 'upnp'
	tcp: LeaseTerm | null
	udp: LeaseTerm | null
}

interface Route {
	target: string
	label: string | null
	enabled: boolean
	auto: boolean
	lease?: Lease | null
	/** Not there: false. */
	proxyProtocol?: boolean
}

export type PortForward = ({ kind: 'dnat'; count: number } & Route) | { kind: 'sni'; routes: Record<string, Route> }

export type RecordType = 'A' | 'AAAA' | 'CNAME' | 'TXT'

export interface DnsRecord {
	name: string
	type: RecordType
	value: string
	ttl: number
	source: string | null
}

export interface Gateway {
	ipInfo: { deviceType: string | null; subnets: string[]; wanIp: string | null } | null
}

export interface TunnelDocument {
	webserver: { enabled: boolean; listen: string | null }
	gateways: Record<string, Gateway>
	wg: { port: number; subnets: Record<string, Subnet> }
	portForwards: Record<string, PortForward>
	/** Those of IPv6, and pinholes; not there while there are none. */
	portForwards6?: Record<string, PortForward>
	dnsRecords: DnsRecord[]
}

const memoized = <A extends object, R>(compute: (a: A) => R) => {
	let last: { a: A; r: R } | null = null
	return (a: A): R => (last?.a === a ? last.r : (last = { a, r: compute(a) }).r)
}

const completed = memoized((document: Partial<TunnelDocument>): TunnelDocument => ({
	webserver: document.webserver ?? { enabled: false, listen: null },
	gateways: document.gateways ?? {},
	wg: document.wg ?? { port: 51820, subnets: {} },
	portForwards: document.portForwards ?? {},
	...(document.portForwards6 && { portForwards6: document.portForwards6 }),
	dnsRecords: document.dnsRecords ?? [],
}))

/** The document, with what the daemon may leave out filled in; null before there is one. */
export function readDocument(value: Json): TunnelDocument | null {
	return value === null || typeof value !== 'object' ? null : completed(value as unknown as Partial<TunnelDocument>)
}

// --- subnets ---

export interface SubnetRow {
	id: string
	subnet: Subnet
	order: number
	devices: number
	/** The address that its devices go out with; null where none is known. */
	wan: string | null
}

/** An address as a number, for sorting. Of very many forwards most have the same one, one after the other. */
const addressOrder = (text: string) => (text === lastOrder.text ? lastOrder.order : (lastOrder = { text, order: parseIpv4(text) ?? 0 }).order)
let lastOrder = { text: '', order: 0 }

export const subnetRows = memoized((document: TunnelDocument): SubnetRow[] =>
	Object.entries(document.wg.subnets)
		.map(([id, subnet]) => ({
			id,
			subnet,
			order: addressOrder(id.split('/')[0]!),
			devices: Object.keys(subnet.clients).length,
			wan: subnet.wanIp ?? defaultWan(document),
		}))
		.sort((a, b) => a.order - b.order),
)

// --- devices ---

export interface DeviceRow {
	id: string // its address
	subnetKey: string
	subnet: Subnet
	client: Client
	order: number
	/** What it has without a pinned address of its own. */
	inheritedWan: string | null
}

export const deviceRows = memoized((document: TunnelDocument): DeviceRow[] =>
	Object.entries(document.wg.subnets)
		.flatMap(([subnetKey, subnet]) => {
			const inheritedWan = subnet.wanIp ?? defaultWan(document)
			return Object.entries(subnet.clients).map(([id, client]) => ({
				id, subnetKey, subnet, client, order: addressOrder(id), inheritedWan,
			}))
		})
		.sort((a, b) => a.order - b.order),
)

export const devicesByIp = memoized((document: TunnelDocument) => new Map(deviceRows(document).map((row) => [row.id, row])))

/** The IPv6 address of a device: the network of its subnet with the host part of its IPv4 address. Null: it has none. */
export function ipv6Of(subnetKey: string, { ipv6 }: Subnet, ip: string): string | null {
	const network = parseNetwork(subnetKey)
	const address = parseIpv4(ip)
	if (!ipv6 || !network || address === null) return null
	const host = address % networkSize(network.prefix)
	const start = ipv6.split('/')[0]!
	const high = Math.floor(host / 65536)
	// A host part of one group cannot change how the network is spelled.
	return high === 0 ? start + host.toString(16) : spellIpv6(`${start}${high.toString(16)}:${(host % 65536).toString(16)}`)
}

const devicesByIpv6 = memoized((subnets: TunnelDocument['wg']['subnets']): ReadonlyMap<string, string> => {
	const found = new Map<string, string>()
	for (const [key, subnet] of Object.entries(subnets)) {
		if (!subnet.ipv6) continue
		for (const ip of Object.keys(subnet.clients)) found.set(ipv6Of(key, subnet, ip)!, ip)
	}
	return found
})

// --- port forwards ---

export interface ForwardRow {
	id: string
	/** Its key in the document: external address and port. */
	source: string
	externalIp: string
	externalPort: number
	count: number
	hostname: string | null
	target: string
	targetIp: string
	/** The IPv4 address of the device that it leads to: its name everywhere else. */
	device: string
	targetPort: number
	label: string | null
	enabled: boolean
	auto: boolean
	/** Whether the server is told its clients by the PROXY protocol. */
	proxy: boolean
	lease: Lease | null
	order: number
}

/** Rows of forwards that did not change stay the same objects. */
const forwardCache = new WeakMap<object, ForwardRow>()

function forwardRow(source: string, hostname: string | null, count: number, route: Route, devices: ReadonlyMap<string, string> | null): ForwardRow {
	const cached = forwardCache.get(route)
	if (cached && (!devices || cached.device === (devices.get(cached.targetIp) ?? cached.targetIp))) return cached
	const [externalIp, externalPort] = splitEndpoint(source)
	const [targetIp, targetPort] = splitEndpoint(route.target)
	const row: ForwardRow = {
		id: hostname === null ? source : `${source}#${hostname}`,
		source, externalIp, externalPort, count, hostname,
		target: route.target, targetIp, targetPort, device: devices?.get(targetIp) ?? targetIp,
		label: route.label, enabled: route.enabled, auto: route.auto, proxy: route.proxyProtocol ?? false,
		lease: route.lease ?? null,
		// Those of IPv6 come after all others.
		order: (devices ? 2 ** 32 : addressOrder(externalIp)) * 65536 + externalPort,
	}
	forwardCache.set(route, row)
	return row
}

/** "1.2.3.4:443" or "[2001:db8::1]:443". */
export function splitEndpoint(text: string): [string, number] {
	const colon = text.lastIndexOf(':')
	return [text.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), Number(text.slice(colon + 1))]
}

/** An address with a port, or with a range of them. */
export const endpointText = (ip: string, port: number | string): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)

const forwardsOf = memoized((forwards: TunnelDocument['portForwards']): ForwardRow[] => {
	const rows: ForwardRow[] = []
	for (const [source, forward] of Object.entries(forwards)) {
		if (forward.kind === 'sni')
			for (const [hostname, route] of Object.entries(forward.routes)) rows.push(forwardRow(source, hostname, 1, route, null))
		else rows.push(forwardRow(source, null, Math.max(forward.count, 1), forward, null))
	}
	return rows.sort((a, b) => a.order - b.order || (a.hostname ?? '').localeCompare(b.hostname ?? ''))
})

const forwardsOf6 = (forwards: Record<string, PortForward>, devices: ReadonlyMap<string, string>): ForwardRow[] =>
	Object.entries(forwards)
		.flatMap(([source, forward]) => (forward.kind === 'dnat' ? [forwardRow(source, null, Math.max(forward.count, 1), forward, devices)] : []))
		.sort((a, b) => a.externalIp.localeCompare(b.externalIp) || a.order - b.order)

let lastBoth: { of: readonly unknown[]; rows: ForwardRow[] } = { of: [], rows: [] }

/** Those of both families; the same array as long as nothing that it is made of changed. */
export function forwardRows({ portForwards, portForwards6, wg: { subnets } }: TunnelDocument): ForwardRow[] {
	if (!portForwards6) return forwardsOf(portForwards)
	const of = [portForwards, portForwards6, subnets]
	if (of.some((part, i) => part !== lastBoth.of[i]))
		lastBoth = { of, rows: [...forwardsOf(portForwards), ...forwardsOf6(portForwards6, devicesByIpv6(subnets))] }
	return lastBoth.rows
}

/** When an automatic forward ends by itself, in ms: with the last of its protocols. Infinity: never; null: not known. */
export function leaseEnd({ lease }: ForwardRow): number | null {
	const terms = [lease?.tcp, lease?.udp].filter((term) => term != null)
	if (terms.length === 0) return null
	const ends = terms.map(({ seconds, until }) => (seconds === 0 ? Infinity : until === null ? NaN : Date.parse(until)))
	const end = Math.max(...ends)
	return Number.isNaN(end) ? null : end
}

export function portRange(first: number, count: number): string {
	return count > 1 ? `${first}-${first + count - 1}` : String(first)
}

/** The name that a person knows a forward by. */
export function forwardName(row: ForwardRow): string {
	const where = row.hostname ?? endpointText(row.externalIp, portRange(row.externalPort, row.count))
	return row.label ? `${row.label} (${where})` : where
}

/** The forward that a new one would share a port with, or null. */
export function findOverlap(
	rows: readonly ForwardRow[],
	externalIp: string,
	first: number,
	count: number,
	hostname: string | null,
): { row: ForwardRow; port: number } | null {
	for (const row of rows) {
		if (row.externalIp !== externalIp) continue
		const from = Math.max(first, row.externalPort)
		const to = Math.min(first + count, row.externalPort + row.count)
		if (from >= to) continue
		if (hostname !== null && row.hostname !== null && row.externalPort === first && row.hostname !== hostname) continue
		return { row, port: from }
	}
	return null
}

// --- public addresses ---

const hostAddresses = memoized((gateways: TunnelDocument['gateways']): string[] => {
	const found: string[] = []
	for (const name of Object.keys(gateways).sort()) {
		const info = gateways[name]!.ipInfo
		if (!info || name === 'wg-start-tunnel' || info.deviceType === 'loopback') continue
		for (const text of [info.wanIp ?? '', ...info.subnets]) {
			const ip = text.split('/')[0]!
			const value = parseIpv4(ip)
			if (value !== null && isWanCandidate(value) && !found.includes(ip)) found.push(ip)
		}
	}
	return found
})

/** The public addresses of the server, the default one first. */
export const wanAddresses = (document: TunnelDocument): string[] => hostAddresses(document.gateways)
export const defaultWan = (document: TunnelDocument): string | null => wanAddresses(document)[0] ?? null

/** The public address that a device is reached at. */
export function wanOf(document: TunnelDocument, ip: string): string | null {
	const device = devicesByIp(document).get(ip)
	return device ? (device.client.wanIp ?? device.inheritedWan) : defaultWan(document)
}

/** The first IPv6 address of the server that the internet reaches, or null. */
const defaultWan6 = memoized((gateways: TunnelDocument['gateways']): string | null => {
	for (const name of Object.keys(gateways).sort()) {
		const info = gateways[name]!.ipInfo
		if (!info || name === 'wg-start-tunnel' || info.deviceType === 'loopback') continue
		for (const text of info.subnets) {
			const ip = text.split('/')[0]!
			if (isGlobalIpv6(ip)) return ip
		}
	}
	return null
})

/** The address that a device is reached at by IPv6: its own if it is one of the internet, else the server's. Null: neither. */
export function wan6Of(document: TunnelDocument, ipv6: string): string | null {
	return isGlobalIpv6(ipv6) ? ipv6 : defaultWan6(document.gateways)
}

// --- free addresses ---

/** The first free host of a subnet, or null. Never one that ends in 0 or 255. */
export function freeAddress(subnetKey: string, subnet: Subnet): string | null {
	const network = parseNetwork(subnetKey)
	const own = parseIpv4(subnetKey.split('/')[0]!)
	if (!network) return null
	const end = network.base + networkSize(network.prefix)
	for (let value = network.base + 1; value < end - 1; value++) {
		if (value === own || value % 256 === 0 || value % 256 === 255) continue
		const text = formatIpv4(value)
		if (!Object.hasOwn(subnet.clients, text)) return text
	}
	return null
}

/** A random free 10.59.X.1/24, or the next free one above it. */
export function freeSubnet(subnets: Record<string, Subnet>, random = Math.random()): string {
	const taken = Object.keys(subnets).map((key) => parseNetwork(key))
	const start = Math.floor(random * 256)
	for (let i = 0; i < 256; i++) {
		const x = (start + i) % 256
		const base = parseIpv4(`10.59.${x}.0`)!
		if (!taken.some((network) => network && (contains(network, base) || contains({ base, prefix: 24 }, network.base))))
			return `10.59.${x}.1/24`
	}
	return ''
}

// --- what a deletion takes with it ---

export function forwardsTo(document: TunnelDocument, ips: ReadonlySet<string>): ForwardRow[] {
	return forwardRows(document).filter((row) => ips.has(row.device))
}

export function subnetsServedBy(document: TunnelDocument, ip: string): SubnetRow[] {
	return subnetRows(document).filter(({ subnet }) => subnet.dns.type === 'device' && subnet.dns.ip === ip)
}
