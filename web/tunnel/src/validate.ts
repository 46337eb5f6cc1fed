// What the dialogs take. Each check gives the name of an error text, or null.

import { contains, isIpv6, networkSize, overlaps, parseIpv4, parseNetwork } from '@shared/ip'

import type { en } from './i18n/en'
import type { Subnet } from './model'

export type Fault = { key: keyof (typeof en)['errors']; values?: Record<string, string | number> } | null

const fault = (key: keyof (typeof en)['errors'], values?: Record<string, string | number>): Fault => ({ key, values })

export const NAME_MAX = 256

export function checkRequired(text: string, max = NAME_MAX): Fault {
	if (text.trim() === '') return fault('required')
	return new TextEncoder().encode(text).length > max ? fault('tooLong', { n: max }) : null
}

export function checkSubnet(text: string, others: Record<string, Subnet>): Fault {
	if (text.trim() === '') return fault('required')
	const network = parseNetwork(text.trim())
	if (!network) return fault('notCidr')
	if (network.prefix > 24) return fault('prefix')
	for (const [key, other] of Object.entries(others)) {
		const taken = parseNetwork(key)
		if (taken && overlaps(taken, network)) return fault('overlaps', { name: other.name || key })
	}
	return null
}

export function checkDeviceIp(text: string, subnetKey: string, subnet: Subnet): Fault {
	const value = parseIpv4(text.trim())
	const network = parseNetwork(subnetKey)
	if (text.trim() === '') return fault('required')
	if (value === null || !network) return fault('notIp')
	if (!contains(network, value)) return fault('notInSubnet')
	if (value === network.base || value % 256 === 0) return fault('zero')
	if (value === network.base + networkSize(network.prefix) - 1 || value % 256 === 255) return fault('broadcast')
	if (text.trim() === subnetKey.split('/')[0]) return fault('serverAddress')
	const holder = subnet.clients[text.trim()]
	return holder ? fault('taken', { name: holder.name }) : null
}

/** A network of /64. What it is good for, the daemon knows. */
export function checkIpv6Network(text: string): Fault {
	if (text.trim() === '') return fault('required')
	const match = /^([^/]+)\/64$/.exec(text.trim())
	return match && isIpv6(match[1]!) ? null : fault('notIpv6Network')
}

export function checkIpv4(text: string): Fault {
	if (text.trim() === '') return fault('required')
	return parseIpv4(text.trim()) === null ? fault('notIp') : null
}

export function checkIp(text: string, type: 'A' | 'AAAA'): Fault {
	if (text.trim() === '') return fault('required')
	return (type === 'A' ? parseIpv4(text.trim()) !== null : isIpv6(text.trim())) ? null : fault('notAnyIp')
}

export function parsePort(text: string | number): number | null {
	const value = /^\d{1,5}$/.test(String(text).trim()) ? Number(text) : 0
	return value >= 1 && value <= 65535 ? value : null
}

export const checkPort = (text: string): Fault =>
	text.trim() === '' ? fault('required') : parsePort(text) === null ? fault('notPort') : null

export const checkCount = (text: string): Fault => (parsePort(text) === null ? fault('notCount') : null)

/** "1.1.1.1", "1.1.1.1:53", "2606:4700::1" or "[2606:4700::1]:53". */
export function checkDnsServer(text: string): Fault {
	const value = text.trim()
	if (value === '') return fault('required')
	const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(value)
	if (bracketed) return isIpv6(bracketed[1]!) && (bracketed[2] === undefined || parsePort(bracketed[2])) ? null : fault('notDnsServer')
	if (isIpv6(value)) return null
	const [ip, port, ...rest] = value.split(':')
	const good = parseIpv4(ip!) !== null && rest.length === 0 && (port === undefined || parsePort(port) !== null)
	return good ? null : fault('notDnsServer')
}

/** A host name; `wildcard` also takes "*.example.com". */
export function isHostname(text: string, wildcard = false): boolean {
	const name = wildcard && text.startsWith('*.') ? text.slice(2) : text
	return name.length > 0 && name.length <= 253 && name.split('.').every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label))
}

export const checkHostname = (text: string): Fault =>
	text.trim() === '' || isHostname(text.trim(), true) ? null : fault('notHostname')

export const checkDnsName = (text: string): Fault =>
	text.trim() === '' ? fault('required') : isHostname(text.trim().replace(/\.$/, ''), true) ? null : fault('notHostname')

export const checkTtl = (text: string): Fault =>
	/^\d{1,10}$/.test(text.trim()) && Number(text) <= 4294967295 ? null : fault('notTtl')

export function checkPassword(text: string): Fault {
	const bytes = new TextEncoder().encode(text).length
	return bytes < 8 || bytes > 64 ? fault('passwordLength') : null
}

/** One line of OpenSSH, or the PEM of a public key. The daemon looks closer. */
export function checkKey(text: string): Fault {
	if (text.trim() === '') return fault('required')
	const openssh = /^ssh-ed25519 [A-Za-z0-9+/]{68}(?:={0,2})(?:\s.*)?$/
	const pem = /^-----BEGIN PUBLIC KEY-----\s+[A-Za-z0-9+/=\s]{50,90}-----END PUBLIC KEY-----$/
	return openssh.test(text.trim()) || pem.test(text.trim()) ? null : fault('notKey')
}

/** A fault of the range that a forward takes, or null. */
export const checkRange = (externalPort: number, internalPort: number, count: number): Fault =>
	Math.max(externalPort, internalPort) + count - 1 > 65535 ? { key: 'notPort' } : null
