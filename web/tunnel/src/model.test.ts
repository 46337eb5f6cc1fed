import { describe, expect, it } from 'vitest'

import { contains, formatIpv4, isIpv6, isWanCandidate, overlaps, parseIpv4, parseNetwork } from '@shared/ip'

import {
	defaultWan, deviceRows, findOverlap, forwardRows, forwardName, forwardsTo, freeAddress, freeSubnet, ipv6Of, leaseEnd, portRange, splitEndpoint, subnetsServedBy,
	wan6Of, wanOf,
	type Client, type Subnet, type TunnelDocument,
} from './model'
import { checkDeviceIp, checkDnsServer, checkHostname, checkIpv6Network, checkKey, checkPassword, checkPort, checkSubnet, checkTtl } from './validate'

const client = (name: string, more: Partial<Client> = {}): Client => ({
	name, kind: 'client', allowDnsInjection: false, allowAutoPortForward: false, wanIp: null, ...more,
})
const subnet = (name: string, clients: Subnet['clients'] = {}, more: Partial<Subnet> = {}): Subnet => ({
	name, clients, dns: { type: 'default' }, wanIp: null, ...more,
})

const document: TunnelDocument = {
	webserver: { enabled: true, listen: '5.6.7.8:8443' },
	gateways: {
		lo: { ipInfo: { deviceType: 'loopback', subnets: ['127.0.0.1/8'], wanIp: null } },
		gone: { ipInfo: null },
		eth0: { ipInfo: { deviceType: 'ethernet', subnets: ['10.1.2.3/24', '5.6.7.8/24', '2a01::1/64', '5.6.7.9/24'], wanIp: null } },
	},
	wg: {
		port: 51820,
		subnets: {
			'10.59.37.1/24': subnet('Home', {
				'10.59.37.10': client('Ten'),
				'10.59.37.2': client('Two', { kind: 'server', wanIp: '5.6.7.9' }),
			}),
			'10.60.0.1/24': subnet('Guests', { '10.60.0.2': client('Guest') }, { dns: { type: 'device', ip: '10.60.0.2' }, wanIp: '9.9.9.9' }),
		},
	},
	portForwards: {
		'5.6.7.9:8000': { kind: 'dnat', target: '10.59.37.2:80', label: 'range', enabled: true, count: 10, auto: false },
		'5.6.7.9:443': {
			kind: 'sni',
			routes: {
				'b.example.com': { target: '10.59.37.2:443', label: null, enabled: true, auto: true },
				'a.example.com': { target: '10.59.37.10:443', label: 'x', enabled: true, auto: false },
			},
		},
	},
	dnsRecords: [],
}

describe('addresses', () => {
	it('are read as the daemon reads them', () => {
		expect(parseIpv4('10.59.37.1')).toBe(171648257)
		expect(formatIpv4(171648257)).toBe('10.59.37.1')
		expect(formatIpv4(parseIpv4('255.255.255.255')!)).toBe('255.255.255.255')
		for (const bad of ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.x', ' 1.2.3.4']) expect(parseIpv4(bad)).toBe(null)
	})
	it('make networks', () => {
		expect(parseNetwork('10.59.37.1/24')).toEqual({ base: parseIpv4('10.59.37.0'), prefix: 24 })
		expect(parseNetwork('0.0.0.0/0')).toEqual({ base: 0, prefix: 0 })
		for (const bad of ['10.59.37.1', '10.59.37.1/33', '10.59.37.1/', 'x/24']) expect(parseNetwork(bad)).toBe(null)
		expect(overlaps(parseNetwork('10.0.0.0/8')!, parseNetwork('10.59.0.0/24')!)).toBe(true)
		expect(overlaps(parseNetwork('10.59.1.0/24')!, parseNetwork('10.59.0.0/24')!)).toBe(false)
		expect(contains(parseNetwork('10.59.0.0/23')!, parseIpv4('10.59.1.255')!)).toBe(true)
	})
	it('of version 6 are told from what is none', () => {
		for (const good of ['::1', '2606:4700::1111', '::ffff:1.2.3.4']) expect(isIpv6(good)).toBe(true)
		for (const bad of ['', '1.2.3.4', 'fe80', '1::2::3', '::g', '[::1]', '::1]/x']) expect(isIpv6(bad)).toBe(false)
	})
	it('are public or not', () => {
		for (const good of ['5.6.7.8', '100.64.0.1', '172.32.0.1']) expect(isWanCandidate(parseIpv4(good)!)).toBe(true)
		for (const bad of ['10.0.0.1', '127.0.0.1', '172.16.0.1', '192.168.1.1', '169.254.1.1', '203.0.113.7', '0.1.2.3'])
			expect(isWanCandidate(parseIpv4(bad)!)).toBe(false)
	})
})

describe('IPv6', () => {
	const inside = subnet('Home', { '10.59.37.12': client('Twelve', { kind: 'server' }) }, { ipv6: 'fd5e:1c0a:77b2:4d10::/64' })
	const both: TunnelDocument = {
		...document,
		wg: { port: 51820, subnets: { ...document.wg.subnets, '10.59.37.1/24': inside } },
		portForwards6: {
			'[2a01::1]:8000': { kind: 'dnat', target: '[fd5e:1c0a:77b2:4d10::c]:80', label: 'six', enabled: true, count: 2, auto: true },
		},
	}
	it('addresses end in the host part, as the daemon spells them', () => {
		expect(ipv6Of('10.59.37.1/24', inside, '10.59.37.12')).toBe('fd5e:1c0a:77b2:4d10::c')
		expect(ipv6Of('10.59.37.1/24', subnet('None'), '10.59.37.12')).toBe(null)
		const large = subnet('Large', {}, { ipv6: '2001:0:0:1::/64' })
		expect(ipv6Of('10.0.0.1/8', large, '10.1.2.3')).toBe('2001::1:0:0:1:203')
		expect(ipv6Of('10.0.0.1/8', large, '10.0.2.3')).toBe('2001:0:0:1::203')
	})
	it('forwards come after the others and belong to the device', () => {
		const rows = forwardRows(both)
		expect(forwardRows(both)).toBe(rows)
		expect(rows.map(({ id }) => id)).toEqual([...forwardRows(document).map(({ id }) => id), '[2a01::1]:8000'])
		expect(rows.at(-1)).toMatchObject({ externalIp: '2a01::1', externalPort: 8000, device: '10.59.37.12', targetPort: 80, auto: true })
		expect(forwardName(rows.at(-1)!)).toBe('six ([2a01::1]:8000-8001)')
		expect(forwardsTo(both, new Set(['10.59.37.12'])).map(({ id }) => id)).toEqual(['[2a01::1]:8000'])
		expect(findOverlap(rows, '2a01::1', 8001, 1, null)?.port).toBe(8001)
		expect(splitEndpoint('[2a01::1]:443')).toEqual(['2a01::1', 443])
	})
	it('is reached at the address of the device, or of the server', () => {
		expect(wan6Of(both, 'fd5e:1c0a:77b2:4d10::c')).toBe('2a01::1')
		expect(wan6Of(both, '2001:db8::c')).toBe('2001:db8::c')
		expect(wan6Of({ ...both, gateways: {} }, 'fd5e::c')).toBe(null)
	})
	it('networks are checked', () => {
		expect(checkIpv6Network('2001:db8:1:2::/64')).toBe(null)
		for (const bad of ['2001:db8::', '2001:db8::/48', '10.0.0.0/64', '::x/64']) expect(checkIpv6Network(bad)?.key).toBe('notIpv6Network')
		expect(checkIpv6Network(' ')?.key).toBe('required')
	})
})

describe('rows', () => {
	it('of devices are in the order of their addresses', () => {
		expect(deviceRows(document).map(({ id }) => id)).toEqual(['10.59.37.2', '10.59.37.10', '10.60.0.2'])
	})
	it('of forwards: one for each host name, ports in order', () => {
		expect(forwardRows(document).map(({ id }) => id)).toEqual([
			'5.6.7.9:443#a.example.com', '5.6.7.9:443#b.example.com', '5.6.7.9:8000',
		])
		expect(portRange(8000, 10)).toBe('8000-8009')
		expect(portRange(80, 1)).toBe('80')
	})
	it('know the public address of a device', () => {
		expect(defaultWan(document)).toBe('5.6.7.8')
		expect(wanOf(document, '10.59.37.2')).toBe('5.6.7.9')
		expect(wanOf(document, '10.59.37.10')).toBe('5.6.7.8')
		expect(wanOf(document, '10.60.0.2')).toBe('9.9.9.9')
	})
	it('know what a deletion takes along', () => {
		expect(forwardsTo(document, new Set(['10.59.37.2'])).map(({ id }) => id)).toEqual(['5.6.7.9:443#b.example.com', '5.6.7.9:8000'])
		expect(subnetsServedBy(document, '10.60.0.2').map(({ id }) => id)).toEqual(['10.60.0.1/24'])
	})
	it('find the port that two forwards would share', () => {
		const rows = forwardRows(document)
		expect(findOverlap(rows, '5.6.7.9', 8009, 1, null)?.port).toBe(8009)
		expect(findOverlap(rows, '5.6.7.9', 7990, 11, null)?.port).toBe(8000)
		expect(findOverlap(rows, '5.6.7.9', 8010, 5, null)).toBe(null)
		expect(findOverlap(rows, '5.6.7.8', 8000, 5, null)).toBe(null)
		expect(findOverlap(rows, '5.6.7.9', 443, 1, 'c.example.com')).toBe(null)
		expect(findOverlap(rows, '5.6.7.9', 443, 1, 'a.example.com')?.port).toBe(443)
		expect(findOverlap(rows, '5.6.7.9', 443, 1, null)?.port).toBe(443)
	})
	it('give free addresses and subnets', () => {
		expect(freeAddress('10.59.37.1/24', document.wg.subnets['10.59.37.1/24']!)).toBe('10.59.37.3')
		const full = Object.fromEntries(Array.from({ length: 253 }, (_, i) => [`10.59.1.${i + 2}`, client('x')]))
		expect(freeAddress('10.59.1.1/24', subnet('full', full))).toBe(null)
		expect(freeAddress('10.59.0.1/23', subnet('wide', Object.fromEntries(Array.from({ length: 253 }, (_, i) => [`10.59.0.${i + 2}`, client('x')]))))).toBe('10.59.1.1')
		expect(freeSubnet(document.wg.subnets, 37 / 256)).toBe('10.59.38.1/24')
		expect(freeSubnet({ '10.0.0.1/8': subnet('all') }, 0)).toBe('')
	})
})

describe('checks', () => {
	const home = document.wg.subnets['10.59.37.1/24']!
	it('of subnets', () => {
		const check = (text: string) => checkSubnet(text, document.wg.subnets)?.key ?? null
		expect(check('10.61.0.0/24')).toBe(null)
		expect(check('10.61.0.0/25')).toBe('prefix')
		expect(check('10.59.37.128/24')).toBe('overlaps')
		expect(check('10.0.0.0/8')).toBe('overlaps')
		expect(check('hello')).toBe('notCidr')
		expect(check('')).toBe('required')
	})
	it('of device addresses', () => {
		const check = (text: string) => checkDeviceIp(text, '10.59.37.1/24', home)?.key ?? null
		expect(check('10.59.37.3')).toBe(null)
		expect(check('10.59.37.0')).toBe('zero')
		expect(check('10.59.37.255')).toBe('broadcast')
		expect(check('10.59.38.3')).toBe('notInSubnet')
		expect(check('10.59.37.1')).toBe('serverAddress')
		expect(check('10.59.37.2')).toBe('taken')
		expect(check('x')).toBe('notIp')
	})
	it('of DNS servers', () => {
		for (const good of ['1.1.1.1', '1.1.1.1:53', '2606:4700::1', '[2606:4700::1]:5353', '[::1]']) expect(checkDnsServer(good)).toBe(null)
		for (const bad of ['', 'dns.example.com', '1.1.1.1:99999', '1.1.1.1:', '[::1]:0', '1.1.1']) expect(checkDnsServer(bad)).not.toBe(null)
	})
	it('of ports, host names, times and passwords', () => {
		for (const good of ['1', '443', '65535']) expect(checkPort(good)).toBe(null)
		for (const bad of ['', '0', '65536', '-1', '1e3', '80a']) expect(checkPort(bad)).not.toBe(null)
		for (const good of ['', 'git.example.com', '*.example.com', 'a']) expect(checkHostname(good)).toBe(null)
		for (const bad of ['-a', 'a..b', 'a.', 'a b', '*', 'a.*.b', 'x'.repeat(64)]) expect(checkHostname(bad)).not.toBe(null)
		for (const good of ['0', '300', '4294967295']) expect(checkTtl(good)).toBe(null)
		for (const bad of ['', '-1', '4294967296', '1.5']) expect(checkTtl(bad)).not.toBe(null)
		expect(checkPassword('1234567')).not.toBe(null)
		expect(checkPassword('12345678')).toBe(null)
		expect(checkPassword('ä'.repeat(33))).not.toBe(null)
	})
	it('of keys', () => {
		const ssh = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${'A'.repeat(43)}`
		expect(checkKey(ssh)).toBe(null)
		expect(checkKey(`${ssh} me@home`)).toBe(null)
		expect(checkKey('-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n-----END PUBLIC KEY-----\n')).toBe(null)
		expect(checkKey('ssh-rsa AAAA')).not.toBe(null)
	})
})

describe('the end of an automatic forward', () => {
	const until = '2026-11-21T12:00:00Z'
	const later = '2026-11-21T13:00:00Z'
	const end = (tcp: object | null, udp: object | null) => {
		const route = { kind: 'dnat', target: '10.59.0.2:80', label: 'PCP', enabled: true, count: 1, auto: true, lease: { via: 'pcp', tcp, udp } }
		return leaseEnd(forwardRows({ ...document, portForwards: { '198.18.0.2:80': route as never } })[0]!)
	}

	it('is that of its last protocol', () => {
		expect(end({ seconds: 60, until }, null)).toBe(Date.parse(until))
		expect(end({ seconds: 60, until }, { seconds: 60, until: later })).toBe(Date.parse(later))
	})
	it('is never where one has no end', () => expect(end({ seconds: 60, until }, { seconds: 0, until: null })).toBe(Infinity))
	it('is not known where nothing tells it', () => {
		expect(end(null, null)).toBe(null)
		expect(end({ seconds: 60, until: null }, null)).toBe(null)
		expect(leaseEnd(forwardRows(document)[0]!)).toBe(null)
	})
})
