import { readFile } from 'node:fs/promises'

import jsQR from 'jsqr'

import { en, expect, LAPTOP, PHONE, SERVER, SUBNET, test } from './lab'
import { act, button, confirm, dialog, field, fill, open, refused, rows, save } from './pages'

interface Client {
	name: string
	kind: 'server' | 'client'
	wanIp: string | null
}

const { servers, clients } = en.devices

test.beforeEach(async ({ page }) => open(page, '/devices'))

/** What a phone's camera would read from the QR code. */
function scanned(path: string): string | undefined {
	const dark = [...path.matchAll(/M(\d+) (\d+)h1v1h-1z/g)].map(([, x, y]) => [Number(x), Number(y)] as const)
	const modules = Math.max(...dark.map(([x, y]) => Math.max(x, y))) + 5
	const scale = 4
	const size = modules * scale
	const pixels = new Uint8ClampedArray(size * size * 4).fill(255)
	for (const [x, y] of dark)
		for (let dy = 0; dy < scale; dy++)
			for (let dx = 0; dx < scale; dx++) pixels.fill(0, ((y * scale + dy) * size + x * scale + dx) * 4, ((y * scale + dy) * size + x * scale + dx) * 4 + 3)
	return jsQR(pixels, size, size)?.data
}

test('a server is added and gets the configuration that the daemon gives', { tag: '@phone' }, async ({ page, lab, context }) => {
	await context.grantPermissions(['clipboard-read', 'clipboard-write'])
	await button(page, en.devices.addServer).click()
	const form = dialog(page, en.devices.addServer)
	await expect(field(form, en.devices.lanIp)).toHaveValue('10.59.37.5')
	await field(form, en.common.name).fill('Second server')
	await button(form, en.common.save).click()

	const config = dialog(page, en.config.title)
	await expect(field(config, en.config.content)).toHaveValue(/PrivateKey/)
	const expected = await lab.rpc<string>('device.show-config', { subnet: SUBNET, ip: '10.59.37.5' })
	expect(await lab.cli('device', 'show-config', SUBNET, '10.59.37.5')).toBe(`${expected.trimEnd()}\n`)
	await expect(field(config, en.config.content)).toHaveValue(expected)

	await button(config, en.common.copy).click()
	await expect(button(config, en.common.copied)).toBeVisible()
	expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(expected)

	const saved = page.waitForEvent('download')
	await button(config, en.common.download).click()
	const download = await saved
	expect(download.suggestedFilename()).toBe('start-tunnel.conf')
	expect(await readFile(await download.path(), 'utf8')).toBe(expected)

	await config.getByRole('tab', { name: en.config.qr }).click()
	const code = config.getByRole('img', { name: fill(en.config.qrLabel, { name: 'Second server' }) })
	expect(scanned((await code.locator('path').getAttribute('d')) ?? '')).toBe(expected)
	await button(config, en.common.close).click()
	await expect(rows(page, servers, 'Second server')).toContainText('10.59.37.5')
	const added = await lab.document<Client>(`/wg/subnets/${SUBNET.replace('/', '~1')}/clients/10.59.37.5`)
	expect(added.kind).toBe('server')
})

test('a client is added', async ({ page, lab }) => {
	await button(page, en.devices.addClient).click()
	const form = dialog(page, en.devices.addClient)
	await field(form, en.common.name).fill('Tablet')
	await field(form, en.devices.lanIp).fill('10.59.37.77')
	await button(form, en.common.save).click()
	await button(dialog(page, en.config.title), en.common.close).click()
	await expect(rows(page, clients, 'Tablet')).toContainText('10.59.37.77')
	expect(await lab.cli('device', 'list', SUBNET)).toContain('10.59.37.77')
})

test('an address that a device cannot have is refused where it is typed', async ({ page }) => {
	await button(page, en.devices.addClient).click()
	const form = dialog(page, en.devices.addClient)
	await button(form, en.common.save).click()
	await refused(form, en.common.name, en.errors.required)
	await field(form, en.common.name).fill('Tablet')
	for (const [ip, why] of [
		['300.1.2.3', en.errors.notIp],
		['10.60.0.2', en.errors.notInSubnet],
		['10.59.37.0', en.errors.zero],
		['10.59.37.255', en.errors.broadcast],
		['10.59.37.1', en.errors.serverAddress],
		[PHONE, fill(en.errors.taken, { name: 'Phone' })],
	] as const) {
		await field(form, en.devices.lanIp).fill(ip)
		await field(form, en.devices.lanIp).blur()
		await refused(form, en.devices.lanIp, why)
	}
	await page.keyboard.press('Escape')
	await expect(form).toBeHidden()
	await expect(rows(page, clients)).toHaveCount(2)
})

test('a device is edited, in the dialog and where its name stands', async ({ page, lab }) => {
	await act(page, 'Phone', en.common.edit)
	const form = dialog(page, en.devices.edit)
	await field(form, en.common.name).fill('Old phone')
	await form.getByRole('combobox', { name: en.subnets.wan }).selectOption('198.18.0.3')
	await save(form)
	await expect(rows(page, clients, 'Old phone')).toContainText('198.18.0.3')

	const rename = fill(en.devices.editHint, { name: 'Laptop' })
	await button(page, rename).click()
	await field(page, rename).fill('Notebook')
	await page.keyboard.press('Enter')
	await expect(rows(page, clients, 'Notebook')).toContainText(LAPTOP)
	const of = (ip: string) => lab.document<Client>(`/wg/subnets/${SUBNET.replace('/', '~1')}/clients/${ip}`)
	await expect.poll(async () => (await of(LAPTOP)).name).toBe('Notebook')
	expect(await of(PHONE)).toMatchObject({ name: 'Old phone', wanIp: '198.18.0.3' })
})

test('a client becomes a server and back', async ({ page }) => {
	await act(page, 'Phone', en.devices.toServer)
	await confirm(page, en.devices.toServer)
	await expect(rows(page, servers, 'Phone')).toBeVisible()
	await act(page, 'Phone', en.devices.toClient)
	await confirm(page, en.devices.toClient)
	await expect(rows(page, clients, 'Phone')).toBeVisible()
	await expect(rows(page, servers)).toHaveCount(1)
})

test('a deletion tells which forwards go with the device', { tag: '@phone' }, async ({ page, lab }) => {
	await act(page, 'Server', en.common.delete)
	const question = dialog(page, en.common.sure)
	await expect(question.getByRole('listitem').filter({ hasText: 'Website' })).toBeVisible()
	await confirm(page, en.common.delete)
	await expect(page.getByText(en.devices.noServers, { exact: true })).toBeVisible()
	await expect.poll(() => lab.document('/portForwards')).toEqual({})
})

test('the details of a device have an address of their own', { tag: '@phone' }, async ({ page }) => {
	await open(page, `/devices/${SERVER}`)
	const details = dialog(page, 'Server')
	await expect(details).toContainText(SERVER)
	await expect(details.getByRole('link', { name: 'Website' })).toBeVisible()
	await button(details, en.devices.viewConfig).click()
	await expect(field(dialog(page, en.config.title), en.config.content)).toHaveValue(/PrivateKey/)
	await button(dialog(page, en.config.title), en.common.close).click()
	await expect(dialog(page, en.config.title)).toBeHidden()
	await button(details, en.common.close).click()
	await expect(page).toHaveURL(/\/devices$/)
	await expect(details).toBeHidden()
})

test('search finds by name and address, and is part of the page’s address', { tag: '@phone' }, async ({ page }) => {
	await page.getByRole('searchbox').fill('lap')
	await expect(rows(page, clients)).toHaveCount(1)
	await expect(rows(page, clients, 'Laptop')).toBeVisible()
	await expect(page).toHaveURL(/\?q=lap$/)
	await page.reload()
	await expect(rows(page, clients)).toHaveCount(1)
	await page.getByRole('searchbox').fill(PHONE)
	await expect(rows(page, clients, 'Phone')).toBeVisible()
	await page.getByRole('searchbox').fill('nobody')
	await expect(page.getByText(fill(en.common.noMatch, { query: 'nobody' })).first()).toBeVisible()
	await button(page, en.common.clearSearch).click()
	await expect(rows(page, clients)).toHaveCount(2)
})
