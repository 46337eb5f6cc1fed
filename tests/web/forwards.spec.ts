import { en, expect, SERVER, test, VPS } from './lab'
import { act, button, choice, confirm, dialog, field, fill, flip, open, refused, rows, save, toggle } from './pages'

interface Forward {
	target: string
	label: string | null
	enabled: boolean
	count: number
	proxyProtocol?: boolean
}

const { manual } = en.forwards
const website = `Website (${VPS}:8080)`
const game = `Game (${VPS}:7000-7004)`

test.beforeEach(async ({ page }) => open(page, '/port-forwards'))

test('a port forward is added and leads a stranger to the server', { tag: '@phone' }, async ({ page, lab }) => {
	await lab.join(SERVER)
	await button(page, en.forwards.add).click()
	const form = dialog(page, en.forwards.add)
	await field(form, en.forwards.label).fill('Second website')
	await field(form, en.forwards.externalPort).fill('8888')
	await expect(field(form, en.forwards.internalPort)).toHaveValue('8888')
	await field(form, en.forwards.internalPort).fill('80')
	await save(form)
	await expect(rows(page, manual, 'Second website')).toContainText('8888')
	expect(await lab.get(8888)).toContain('This is server')
})

test('a port forward that cannot be is refused where it is typed', async ({ page }) => {
	await button(page, en.forwards.add).click()
	const form = dialog(page, en.forwards.add)
	await expect(button(form, en.common.save)).toBeDisabled()
	await field(form, en.forwards.label).fill('Wrong')
	for (const port of ['0', '65536', 'http']) {
		await field(form, en.forwards.externalPort).fill(port)
		await field(form, en.forwards.externalPort).blur()
		await refused(form, en.forwards.externalPort, en.errors.notPort)
	}
	await field(form, en.forwards.externalPort).fill('65530')
	await field(form, en.forwards.internalPort).fill('65530')
	await field(form, en.forwards.count).fill('10')
	await expect(form.getByRole('alert')).toContainText(en.forwards.overflow)
	await field(form, en.forwards.externalPort).fill('6998')
	await field(form, en.forwards.internalPort).fill('6998')
	await expect(form.getByRole('alert')).toContainText(fill(en.forwards.overlap, { port: 7000, label: game }))
	await expect(button(form, en.common.save)).toBeDisabled()
	await field(form, en.forwards.count).fill('2')
	await expect(form.getByRole('alert')).toHaveCount(0)
	await expect(button(form, en.common.save)).toBeEnabled()
})

test('a range is one row', async ({ page, lab }) => {
	await button(page, en.forwards.add).click()
	const form = dialog(page, en.forwards.add)
	await field(form, en.forwards.label).fill('Voice')
	await field(form, en.forwards.externalPort).fill('30000')
	await field(form, en.forwards.count).fill('100')
	await save(form)
	await expect(rows(page, manual, 'Voice')).toContainText('30000-30099')
	const forwards = await lab.document<Record<string, Forward>>('/portForwards')
	expect(forwards[`${VPS}:30000`]).toMatchObject({ target: `${SERVER}:30000`, count: 100, label: 'Voice' })
})

test('two host names share a port', async ({ page, lab }) => {
	for (const name of ['Git.Example.com', 'shop.example.com']) {
		await button(page, en.forwards.add).click()
		const form = dialog(page, en.forwards.add)
		await field(form, en.forwards.label).fill(name)
		await field(form, en.forwards.externalPort).fill('4443')
		await field(form, `${en.forwards.hostname} (${en.forwards.optional})`).fill(name)
		await save(form)
		await expect(rows(page, manual, name.toLowerCase())).toContainText('4443')
	}
	const forwards = await lab.document<Record<string, { routes: Record<string, { target: string; auto: boolean }> }>>('/portForwards')
	expect(forwards[`${VPS}:4443`]?.routes['git.example.com']).toMatchObject({ target: `${SERVER}:4443`, auto: false })
	const control = toggle(page, fill(en.forwards.enable, { name: 'Git.Example.com (git.example.com)' }))
	await flip(control)
	await expect(rows(page, manual, 'git.example.com')).toContainText(en.status.disabled)
	await expect(rows(page, manual, 'shop.example.com')).not.toContainText(en.status.disabled)
})

test('443 also brings 80, unless that is not wanted', async ({ page, lab }) => {
	await button(page, en.forwards.add).click()
	const form = dialog(page, en.forwards.add)
	await field(form, en.forwards.label).fill('Shop')
	await field(form, en.forwards.externalPort).fill('443')
	await expect(form.getByRole('checkbox', { name: en.forwards.redirect })).toBeChecked()
	await save(form)
	await expect(rows(page, manual, fill(en.forwards.redirectLabel, { label: 'Shop' }))).toBeVisible()
	const forwards = await lab.document<Record<string, Forward>>('/portForwards')
	expect(forwards[`${VPS}:443`]?.target).toBe(`${SERVER}:443`)
	expect(forwards[`${VPS}:80`]?.target).toBe(`${SERVER}:443`)
})

test('a port forward is switched off and on', async ({ page, lab }) => {
	await lab.join(SERVER)
	expect(await lab.get(8080)).toContain('This is server')
	const control = toggle(page, fill(en.forwards.enable, { name: website }))
	await expect(control).toBeChecked()
	await flip(control)
	await expect(rows(page, manual, 'Website')).toContainText(en.status.disabled)
	await expect.poll(() => lab.get(8080)).toBe('')
	await flip(control)
	await expect(rows(page, manual, 'Website')).toContainText(en.status.active)
	await expect.poll(() => lab.get(8080)).toContain('This is server')
})

test('labels are changed in the dialog and where they stand', { tag: '@phone' }, async ({ page, lab }) => {
	await act(page, website, en.common.edit)
	const form = dialog(page, en.forwards.edit)
	await field(form, en.forwards.label).fill('')
	await button(form, en.common.save).click()
	await refused(form, en.forwards.label, en.errors.required)
	await field(form, en.forwards.label).fill('Blog')
	await save(form)
	await expect(rows(page, manual, 'Blog')).toBeVisible()
	const rename = fill(en.devices.editHint, { name: 'Blog' })
	await button(page, rename).click()
	await field(page, rename).fill('Diary')
	await page.keyboard.press('Enter')
	await expect.poll(async () => (await lab.document<Record<string, Forward>>('/portForwards'))[`${VPS}:8080`]?.label).toBe('Diary')
})

test('a server is told its visitors by the PROXY protocol', { tag: '@phone' }, async ({ page, lab }) => {
	const stored = async (port: number) => (await lab.document<Record<string, Forward>>('/portForwards'))[`${VPS}:${port}`]
	const form = dialog(page, en.forwards.edit)
	const proxy = form.getByRole('checkbox', { name: en.forwards.proxy })
	const row = rows(page, manual, 'Website')
	await lab.join(SERVER)
	await expect(row).not.toContainText('PROXY')
	await act(page, website, en.common.edit)
	await expect(proxy).not.toBeChecked()
	await proxy.check()
	await save(form)
	await expect(row).toContainText('PROXY v2')
	expect(await stored(8080)).toMatchObject({ proxyProtocol: true, label: 'Website' })
	// The server of the lab does not expect it.
	await expect.poll(() => lab.get(8080)).not.toContain('This is server')
	await act(page, website, en.common.edit)
	await expect(proxy).toBeChecked()
	await proxy.uncheck()
	await save(form)
	await expect(row).not.toContainText('PROXY')
	await expect.poll(() => lab.get(8080)).toContain('This is server')

	await button(page, en.forwards.add).click()
	const added = dialog(page, en.forwards.add)
	await field(added, en.forwards.label).fill('Mail')
	await field(added, en.forwards.externalPort).fill('25')
	const told = added.getByRole('checkbox', { name: en.forwards.proxy })
	await told.check()
	await field(added, en.forwards.count).fill('2')
	await expect(told).toHaveCount(0)
	await field(added, en.forwards.count).fill('1')
	await expect(told).toBeChecked()
	await save(added)
	await expect(rows(page, manual, 'Mail')).toContainText('PROXY v2')
	expect(await stored(25)).toMatchObject({ proxyProtocol: true, count: 1 })
})

test('a port forward is deleted', async ({ page, lab }) => {
	await act(page, website, en.common.delete)
	await expect(dialog(page, en.common.sure)).toContainText(en.forwards.deleteText)
	await confirm(page, en.common.delete)
	await expect(rows(page, manual)).toHaveCount(1)
	await expect.poll(async () => Object.keys(await lab.document('/portForwards'))).toEqual([`${VPS}:7000`])
})

test('an edit that the daemon never got is taken back and told', async ({ page, watch }) => {
	watch.expected.push(/ERR_INTERNET_DISCONNECTED|ERR_FAILED/)
	const control = toggle(page, fill(en.forwards.enable, { name: website }))
	await page.route('**/rpc/v1', (route) => route.abort('internetdisconnected'))
	await flip(control)
	const message = page.getByRole('alert').filter({ hasText: en.connection.rolledBack })
	await expect(message).toBeVisible()
	await expect(control).toBeChecked()
	await page.unroute('**/rpc/v1')
})

test('an edit shows before its answer, and is taken back when the daemon refuses it', async ({ page, lab }) => {
	const control = toggle(page, fill(en.forwards.enable, { name: website }))
	let answer = () => {}
	const held = new Promise<void>((resolve) => (answer = resolve))
	await page.route('**/rpc/v1', async (route) => {
		if (!route.request().postData()?.includes('port-forward.set-enabled')) return route.continue()
		// Meanwhile somebody else removes the forward.
		await held
		await route.continue()
	})
	await flip(control)
	await expect(control).not.toBeChecked()
	await lab.rpc('port-forward.remove', { source: `${VPS}:8080` })
	await expect(rows(page, manual)).toHaveCount(1)
	answer()
	await expect(page.getByRole('alert').filter({ hasText: en.connection.rolledBack })).toBeVisible()
	await page.unroute('**/rpc/v1')
})

test('rows are sorted by what a column holds', { tag: '@phone' }, async ({ page, isMobile }) => {
	const order = async () => (await rows(page, manual).allInnerTexts()).map((text) => /Website|Game/.exec(text)?.[0])
	if (isMobile) await choice(page, `${en.common.sortBy}: ${manual}`).selectOption({ label: en.forwards.externalPort })
	else await page.getByRole('columnheader', { name: en.forwards.externalPort }).first().getByRole('button').click()
	await expect.poll(order).toEqual(['Game', 'Website'])
	if (isMobile) await button(page, en.common.ascending).click()
	else await page.getByRole('columnheader', { name: en.forwards.externalPort }).first().getByRole('button').click()
	await expect.poll(order).toEqual(['Website', 'Game'])
})
