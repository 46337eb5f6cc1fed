import { en, expect, SERVER, test } from './lab'
import { open, rows } from './pages'

test('records are listed by who made them', async ({ page, lab }) => {
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
