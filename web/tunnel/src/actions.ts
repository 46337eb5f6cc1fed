// Edits: each shows at once (where its outcome is plain) and asks the daemon.

import { pointer, type Json, type Operation } from '@shared/patch'

import type { Methods } from './api'
import { documents, rpc } from './app'
import type { Client, DeviceKind, DnsRecord, ForwardRow, SubnetDns, TunnelDocument } from './model'

const client = (subnet: string, ip: string, ...members: string[]) => pointer('wg', 'subnets', subnet, 'clients', ip, ...members)

type Edit = { [K in keyof Methods]: null extends Methods[K]['result'] ? K : never }[keyof Methods]

function edit<K extends Edit>(method: K, params: Methods[K]['params'], patch: readonly Operation[] = []): Promise<Json> {
	return documents.optimistic(patch, () => rpc.call<Edit>(method, params))
}

const replace = (path: string, value: Json): Operation => ({ op: 'replace', path, value })
const remove = (path: string): Operation => ({ op: 'remove', path })

// --- subnets ---

export const addSubnet = (subnet: string, name: string) => edit('subnet.add', { subnet, name })

export const renameSubnet = (subnet: string, name: string) =>
	edit('subnet.add', { subnet, name }, [replace(pointer('wg', 'subnets', subnet, 'name'), name)])

export const removeSubnet = (subnet: string) => edit('subnet.remove', { subnet }, [remove(pointer('wg', 'subnets', subnet))])

export const setSubnetWan = (subnet: string, wanIp: string | null) =>
	edit('subnet.set-wan', { subnet, wanIp }, [replace(pointer('wg', 'subnets', subnet, 'wanIp'), wanIp)])

/** "on", "off", or a network. */
export const setSubnetIpv6 = (subnet: string, ipv6: string) => edit('subnet.set-ipv6', { subnet, ipv6 })

export const setSubnetDns = (subnet: string, dns: SubnetDns) =>
	edit('subnet.set-dns', {
		subnet,
		mode: dns.type,
		deviceIp: dns.type === 'device' ? dns.ip : null,
		servers: dns.type === 'custom' ? dns.servers : [],
	})

// --- devices ---

export const addDevice = (subnet: string, name: string, ip: string, kind: DeviceKind) =>
	edit('device.add', { subnet, name, ip, kind })

export const renameDevice = (subnet: string, ip: string, name: string) =>
	edit('device.add', { subnet, name, ip }, [replace(client(subnet, ip, 'name'), name)])

export const removeDevice = (subnet: string, ip: string) => edit('device.remove', { subnet, ip }, [remove(client(subnet, ip))])

export const setDeviceWan = (subnet: string, ip: string, wanIp: string | null) =>
	edit('device.set-wan', { subnet, ip, wanIp }, [replace(client(subnet, ip, 'wanIp'), wanIp)])

export const setDeviceKind = (subnet: string, ip: string, kind: DeviceKind) =>
	edit('device.set-kind', { subnet, ip, kind }, [
		replace(client(subnet, ip, 'kind'), kind),
		replace(client(subnet, ip, 'allowDnsInjection'), kind === 'server'),
		replace(client(subnet, ip, 'allowAutoPortForward'), kind === 'server'),
	])

export function setDeviceFlag(subnet: string, ip: string, flag: keyof Client & `allow${string}`, enabled: boolean) {
	const method = flag === 'allowDnsInjection' ? 'device.set-dns-injection' : 'device.set-auto-port-forward'
	return edit(method, { subnet, ip, enabled }, [replace(client(subnet, ip, flag), enabled)])
}

/** The configuration of a device, with its private key: it is asked for when it is to be seen, and not kept. */
export const showConfig = (subnet: string, ip: string) => rpc.call('device.show-config', { subnet, ip })

// --- port forwards ---

export interface NewForward {
	externalPort: number
	target: string
	label: string | null
	sni: string[]
	count: number
	proxyProtocol: boolean
}

export const addForward = (forward: NewForward) => edit('port-forward.add', { ...forward })

function forwardPath({ source, hostname }: ForwardRow, ...members: string[]): string {
	if (source.startsWith('[')) return pointer('portForwards6', source, ...members)
	return hostname === null ? pointer('portForwards', source, ...members) : pointer('portForwards', source, 'routes', hostname, ...members)
}

const named = ({ source, hostname }: ForwardRow): { source: string; hostname?: string } => (hostname === null ? { source } : { source, hostname })

export const removeForward = (row: ForwardRow) => edit('port-forward.remove', named(row), [remove(forwardPath(row))])

export const setForwardLabel = (row: ForwardRow, label: string) =>
	edit('port-forward.update-label', { ...named(row), label }, [replace(forwardPath(row, 'label'), label)])

export const setForwardEnabled = (row: ForwardRow, enabled: boolean) =>
	edit('port-forward.set-enabled', { ...named(row), enabled }, [replace(forwardPath(row, 'enabled'), enabled)])

export const setForwardProxy = (row: ForwardRow, enabled: boolean) =>
	edit('port-forward.set-proxy-protocol', { ...named(row), enabled }, [
		enabled ? { op: 'add', path: forwardPath(row, 'proxyProtocol'), value: true } : remove(forwardPath(row, 'proxyProtocol')),
	])

/** Makes an automatic forward the owner's own. */
export const pinForward = (row: ForwardRow) =>
	edit('port-forward.pin', named(row), [
		replace(forwardPath(row, 'auto'), false),
		...(row.hostname === null ? [remove(forwardPath(row, 'lease'))] : []),
	])

// --- DNS ---

export const addRecord = (record: Omit<DnsRecord, 'source'>) => edit('dns.add', { ...record })

export function removeRecords(document: TunnelDocument, name: string, type: string) {
	const rest = document.dnsRecords.filter((record) => record.name !== name || record.type !== type)
	return edit('dns.remove', { name, type }, [replace('/dnsRecords', rest as unknown as Json)])
}
