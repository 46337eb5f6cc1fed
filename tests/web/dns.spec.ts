import { en, expect, SERVER, test } from './lab'
import { act, button, choice, confirm, dialog, field, open, rows, save } from './pages'

test('records are listed by who made them', { tag: '@phone' }, async ({ page, lab }) => {
	const records = [
		{ name: 'home.example', type: 'A', value: SERVER, ttl: 300, source: null },
		{ name: 'note.example', type: 'TXT', value: 'hello', ttl: 3600, source: null },
		{ name: 'cloud.example', type: 'A', value: SERVER, ttl: 60, source: SERVER },
	]
	await lab.rpc('db.apply', { expr: `.dnsRecords = ${JSON.stringify(records)}` })
	await open(page, '/dns')
	await expect(rows(page, en.dns.manual)).toHaveCount(2)
	await expect(rows(page, en.dns.manual, 'home.example')).toContainText(`Server (${SERVER})`)
	await expect(rows(page, en.dns.manual, 'note.example')).toContainText('hello')
	await expect(rows(page, en.dns.automatic, 'cloud.example')).toContainText('60')
	await page.getByRole('searchbox').fill('txt')
	await expect(rows(page, en.dns.manual)).toHaveCount(1)
})

test('a record is added and removed, or it is told that the server cannot do that yet', async ({ page, lab }) => {
	await open(page, '/dns')
	if (!(await lab.has('dns.add'))) {
		await expect(page.getByText(en.dns.unavailable)).toBeVisible()
		await expect(button(page, en.dns.add)).toBeDisabled()
		return
	}
	await button(page, en.dns.add).first().click()
	const form = dialog(page, en.dns.add)
	await field(form, en.common.name).fill('not a name')
	await field(form, en.common.name).blur()
	await expect(field(form, en.common.name)).toHaveAttribute('aria-invalid', 'true')
	await field(form, en.common.name).fill('home.example.com')
	await choice(form, en.dns.server).selectOption(SERVER)
	await save(form)
	await expect(rows(page, en.dns.manual, 'home.example.com')).toContainText(`Server (${SERVER})`)
	expect(JSON.stringify(await lab.rpc('dns.list'))).toContain('home.example.com')
	await act(page, 'home.example.com A', en.common.delete)
	await confirm(page, en.common.delete)
	await expect(rows(page, en.dns.manual)).toHaveCount(0)
	await expect.poll(() => lab.document('/dnsRecords')).toEqual([])
})
