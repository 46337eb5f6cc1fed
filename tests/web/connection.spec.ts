import { en, expect, SUBNET, test } from './lab'
import { button, open, rows } from './pages'

test('a daemon that stops is told, and the page goes on when it is back', async ({ page, lab, watch }) => {
	watch.expected.push(/ERR_|WebSocket|Failed to load/)
	await open(page, '/devices')
	const banner = page.getByRole('status').filter({ hasText: en.connection.lost })
	await lab.stop()
	await expect(banner).toBeVisible()
	// What was there stays to be read.
	await expect(rows(page, en.devices.clients, 'Phone')).toBeVisible()

	await lab.start()
	await lab.rpc('device.add', { subnet: SUBNET, ip: '10.59.37.99', name: 'Made meanwhile' })
	await expect(rows(page, en.devices.clients, 'Made meanwhile')).toBeVisible()
	await expect(banner).toBeHidden()
	// Without a login: the session outlives the daemon.
	await page.reload()
	await expect(rows(page, en.devices.clients, 'Made meanwhile')).toBeVisible()
})

test('a browser without a network says so and catches up', async ({ page, lab, context, watch }) => {
	watch.expected.push(/ERR_|WebSocket/)
	await open(page, '/subnets')
	await context.setOffline(true)
	await expect(page.getByText(en.connection.lost)).toBeVisible()
	await lab.rpc('subnet.add', { subnet: '10.88.0.1/24', name: 'Made meanwhile' })
	await context.setOffline(false)
	await expect(rows(page, en.subnets.title, 'Made meanwhile')).toBeVisible()
	await expect(page.getByText(en.connection.lost)).toBeHidden()
})

test('the connection is tried again at once when asked to', async ({ page, context, watch }) => {
	watch.expected.push(/ERR_|WebSocket/)
	await open(page, '/subnets')
	await context.setOffline(true)
	await expect(page.getByText(en.connection.lost)).toBeVisible()
	await context.setOffline(false)
	const retry = button(page, en.connection.retry)
	// It may have come back by itself already.
	await retry.click({ timeout: 2000 }).catch(() => {})
	await expect(page.getByText(en.connection.lost)).toBeHidden()
})
