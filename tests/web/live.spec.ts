import { en, expect, PHONE, SERVER, test } from './lab'
import { dialog, open, rows } from './pages'

const { servers, clients } = en.devices

/** A number of bytes as the pages write it. */
function bytes(text: string | null): number {
	const [, number, unit] = /([\d.,]+) (B|KiB|MiB|GiB)/.exec(text ?? '') ?? []
	const power = ['B', 'KiB', 'MiB', 'GiB'].indexOf(unit ?? '')
	return power < 0 ? NaN : Number(number?.replace(',', '')) * 1024 ** power
}

test('a device shows as online as soon as it joins', async ({ page, lab }) => {
	await lab.leave(PHONE)
	await lab.rpc('device.remove', { subnet: '10.59.37.1/24', ip: PHONE })
	await lab.rpc('device.add', { subnet: '10.59.37.1/24', ip: PHONE, name: 'New phone' })
	await open(page, '/devices')
	const row = rows(page, clients, 'New phone')
	await expect(row).toContainText(en.status.offline)
	await expect(row).toContainText(en.status.never)
	await lab.join(PHONE)
	await expect(row).toContainText(en.status.online)
	// Its carrier's address, as the VPS sees it.
	await expect(row).toContainText(/198\.18\.2\.2:\d+/)
	await lab.leave(PHONE)
})

test('traffic through a forward counts for it and for its device', async ({ page, lab }) => {
	await lab.join(SERVER)
	await open(page, '/port-forwards')
	const forward = rows(page, en.forwards.manual, 'Website')
	await expect(forward).toContainText(en.status.active)
	const total = async () => bytes(await forward.locator('[data-column="traffic"]').innerText())
	const before = await total()
	// There is a chart once there is something to show: of points that are not all at one height.
	const line = forward.locator('[data-column="traffic"] svg path').nth(1)
	const heights = async () => new Set([...((await line.getAttribute('d')) ?? '').matchAll(/ ([\d.]+)/g)].map(([, height]) => height)).size
	await lab.fetch(20)
	await expect.poll(total).toBeGreaterThan(before)
	await expect.poll(heights).toBeGreaterThan(1)

	await page.getByRole('navigation', { name: en.nav.label }).getByRole('link', { name: en.nav.devices }).click()
	const server = rows(page, servers, 'Server')
	const sent = async () => bytes(await server.locator('[data-column="traffic"]').innerText())
	const first = await sent()
	expect(first).toBeGreaterThan(0)
	await lab.fetch(20)
	await expect.poll(sent).toBeGreaterThan(first)
})

test('the details of a device are live', async ({ page, lab }) => {
	await lab.join(SERVER)
	await open(page, `/devices/${SERVER}`)
	const details = dialog(page, 'Server')
	await expect(details).toContainText(en.status.online)
	await expect(details).toContainText(/198\.18\.1\.2:\d+/)
	const status = await lab.rpc<Record<string, unknown>>('status')
	const key = /"([A-Za-z0-9+/]{43}=?)"/.exec(JSON.stringify(status))?.[1]
	expect(key).toBeTruthy()
})
