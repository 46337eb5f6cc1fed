import { en, expect, SERVER, SUBNET, test, VPS6, type Lab } from './lab'
import { act, button, choice, confirm, dialog, failure, field, fill, fits, flip, open, refused, rows, save, toggle } from './pages'
import { violations } from './violations'

interface Forward {
	target: string
	enabled: boolean
	auto: boolean
}

const { manual, automatic } = en.forwards
const forwards6 = async (lab: Lab) => (await lab.document<{ portForwards6?: Record<string, Forward> }>()).portForwards6 ?? {}
const network = async (lab: Lab) => (await lab.document<Record<string, { ipv6?: string }>>('/wg/subnets'))[SUBNET]?.ipv6
const GLOBAL = '2001:db8:d:1::'

test('IPv6 is switched on, given a network and switched off', { tag: '@phone' }, async ({ page, lab }) => {
	await open(page, '/subnets')
	await act(page, 'Home', en.common.edit)
	let form = dialog(page, en.subnets.edit)
	await choice(form, en.subnets.ipv6).selectOption({ label: en.subnets.ipv6On })
	await expect(form).toContainText(en.subnets.ipv6Anew)
	await save(form)
	await expect(rows(page, en.subnets.title, 'Home')).toContainText(/fd[0-9a-f:]+::\/64/)
	const first = (await network(lab))!

	await act(page, 'Home', en.common.edit)
	form = dialog(page, en.subnets.edit)
	await expect(choice(form, en.subnets.ipv6)).toHaveValue('on')
	await expect(form).toContainText(first)
	await choice(form, en.subnets.ipv6).selectOption({ label: en.subnets.ipv6Own })
	await button(form, en.common.save).click()
	await refused(form, en.subnets.ipv6Network, en.errors.required)
	await field(form, en.subnets.ipv6Network).fill('2001:db8::/48')
	await refused(form, en.subnets.ipv6Network, en.errors.notIpv6Network)
	await fits(page)
	expect(await violations(page)).toEqual([])
	// What only the daemon knows: it is this machine's own.
	await field(form, en.subnets.ipv6Network).fill('2001:db8::/64')
	await button(form, en.common.save).click()
	await expect(failure(page)).toContainText('ipv6: 2001:db8::/64 overlaps')
	expect(await network(lab)).toBe(first)
	await field(form, en.subnets.ipv6Network).fill(`${GLOBAL}/64`)
	await save(form)
	await expect(rows(page, en.subnets.title, 'Home')).toContainText(`${GLOBAL}/64`)
	await fits(page)

	await act(page, 'Home', en.common.edit)
	await choice(dialog(page, en.subnets.edit), en.subnets.ipv6).selectOption({ label: en.subnets.ipv6Off })
	await expect(dialog(page, en.subnets.edit)).toContainText(en.subnets.ipv6OffHint)
	await save(dialog(page, en.subnets.edit))
	await expect(rows(page, en.subnets.title, 'Home')).not.toContainText('::/64')
	expect(await network(lab)).toBeUndefined()
})

test('a device shows its IPv6 address', { tag: '@phone' }, async ({ page, lab }) => {
	await lab.rpc('subnet.set-ipv6', { subnet: SUBNET, ipv6: `${GLOBAL}/64` })
	await open(page, '/devices')
	await expect(rows(page, en.devices.servers, 'Server')).toContainText(`${GLOBAL}2`)
	await expect(rows(page, en.devices.clients, 'Phone')).toContainText(`${GLOBAL}3`)
	await fits(page)
	expect(await violations(page)).toEqual([])
	await open(page, `/devices/${SERVER}`)
	await expect(dialog(page, 'Server')).toContainText(`${GLOBAL}2`)
})

test('a pinhole is added, labelled, switched off and deleted', { tag: '@phone' }, async ({ page, lab }) => {
	await lab.rpc('subnet.set-ipv6', { subnet: SUBNET, ipv6: `${GLOBAL}/64` })
	await open(page, '/port-forwards')
	await button(page, en.forwards.add).click()
	const form = dialog(page, en.forwards.add)
	await field(form, en.forwards.label).fill('Six')
	await choice(form, en.forwards.family).selectOption('IPv6')
	await expect(form).toContainText(en.forwards.pinholeHint)
	await expect(form).toContainText(`${en.forwards.externalIp}: ${GLOBAL}2`)
	await expect(field(form, `${en.forwards.hostname} (${en.forwards.optional})`)).toHaveCount(0)
	await expect(form.getByRole('checkbox', { name: en.forwards.proxy })).toHaveCount(0)
	await field(form, en.forwards.externalPort).fill('7000')
	expect(await violations(page)).toEqual([])
	await save(form)
	const row = rows(page, manual, 'Six')
	await expect(row).toContainText(`${GLOBAL}2`)
	await expect(row).toContainText('Server')
	await fits(page)
	const source = `[${GLOBAL}2]:7000`
	expect((await forwards6(lab))[source]).toMatchObject({ target: source, enabled: true, auto: false })

	const name = `Six (${source})`
	await flip(toggle(page, fill(en.forwards.enable, { name })))
	await expect(row).toContainText(en.status.disabled)
	await expect.poll(async () => (await forwards6(lab))[source]?.enabled).toBe(false)
	await act(page, name, en.common.edit)
	await field(dialog(page, en.forwards.edit), en.forwards.label).fill('Seven')
	await save(dialog(page, en.forwards.edit))
	await act(page, `Seven (${source})`, en.common.delete)
	await confirm(page, en.common.delete)
	await expect(rows(page, manual, 'Seven')).toHaveCount(0)
	await expect.poll(() => forwards6(lab)).toEqual({})
	await expect(rows(page, manual, 'Website')).toHaveCount(1)
})

test("a forward of the server's own IPv6 address", async ({ page, lab }) => {
	await lab.rpc('subnet.set-ipv6', { subnet: SUBNET, ipv6: 'on' })
	const server = `${(await network(lab))!.replace('/64', '')}2`
	await open(page, '/port-forwards')
	for (const port of ['7000', '7001']) {
		await button(page, en.forwards.add).click()
		const form = dialog(page, en.forwards.add)
		await field(form, en.forwards.label).fill(`Six ${port}`)
		await choice(form, en.forwards.family).selectOption('IPv6')
		await expect(form).toContainText(`${en.forwards.externalIp}: ${VPS6}`)
		await expect(form).not.toContainText(en.forwards.pinholeHint)
		await field(form, en.forwards.externalPort).fill(port)
		await field(form, en.forwards.internalPort).fill('80')
		await save(form)
	}
	expect((await forwards6(lab))[`[${VPS6}]:7001`]).toMatchObject({ target: `[${server}]:80` })
	await expect(rows(page, manual, 'Six 7001')).toContainText(VPS6)

	await act(page, `Six 7001 ([${VPS6}]:7001)`, en.common.delete)
	await confirm(page, en.common.delete)
	await expect(rows(page, manual, 'Six 7001')).toHaveCount(0)
	await open(page, '/devices')
	await act(page, 'Server', en.common.delete)
	await expect(dialog(page, en.common.sure).getByRole('listitem').filter({ hasText: 'Six 7000' })).toBeVisible()
})

test('a pinhole that a server opened is made manual', { tag: '@phone' }, async ({ page, lab }) => {
	await lab.leave(SERVER) // it has no IPv6 in its configuration
	await lab.rpc('subnet.set-ipv6', { subnet: SUBNET, ipv6: `${GLOBAL}/64` })
	await lab.join(SERVER)
	await lab.openPort6(7000, 7000, 3600)
	const source = `[${GLOBAL}2]:7000`
	const name = `PCP (${source})`
	await open(page, '/port-forwards')
	const row = rows(page, automatic, `${GLOBAL}2`)
	await expect(row).toContainText(en.status.active)
	await expect(row).toContainText('PCP')
	await flip(toggle(page, fill(en.forwards.enable, { name })))
	await expect(row).toContainText(en.status.disabled)
	await expect.poll(async () => (await forwards6(lab))[source]).toMatchObject({ enabled: false, auto: true })
	await fits(page)
	await act(page, name, en.forwards.pin)
	await expect(rows(page, manual, `${GLOBAL}2`)).toBeVisible()
	await expect.poll(async () => (await forwards6(lab))[source]).toMatchObject({ auto: false })
	await lab.openPort6(7001, 7001, 3600)
	await act(page, `PCP ([${GLOBAL}2]:7001)`, en.common.delete)
	await confirm(page, en.common.delete)
	await expect.poll(async () => Object.keys(await forwards6(lab))).toEqual([source])
	await lab.leave(SERVER)
})
