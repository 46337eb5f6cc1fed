// The lab, as the tests see it: what run.py does for them, and the page that each begins with.

import { test as base, expect, type Browser, type ConsoleMessage, type Page } from '@playwright/test'
import { createConnection, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { existsSync, rmSync } from 'node:fs'

import { en } from '../../web/tunnel/src/i18n/en'

function variable(name: string): string {
	const value = process.env[name]
	if (value === undefined) throw new Error(`${name} is not set; start the tests by tests/web/run.py`)
	return value
}

export const environment = {
	url: variable('WEB_URL'),
	password: variable('WEB_PASSWORD'),
	control: variable('WEB_CONTROL'),
	chromium: variable('WEB_CHROMIUM'),
	state: variable('WEB_STATE'),
	root: variable('WEB_ROOT'),
	junit: process.env.WEB_JUNIT,
	screenshots: process.env.WEB_SCREENSHOTS,
	figures: process.env.WEB_FIGURES,
}

/** Where the browser's state after logging in is kept for the tests to come. */
const session = `${environment.state}/session.json`

/** How many times longer than on a common machine to wait. */
export const patience = Number(process.env.WEB_PATIENCE ?? '1')

export const SUBNET = '10.59.37.1/24'
export const SERVER = '10.59.37.2'
export const PHONE = '10.59.37.3'
export const LAPTOP = '10.59.37.4'
export const VPS = '198.18.0.2'
export const VPS6 = '2001:db8::2'

/** Errors of the lab and of the daemon's methods. */
export class LabError extends Error {
	constructor(
		message: string,
		readonly code: number,
	) {
		super(message)
	}
}

/** The other end is class Control in run.py. */
export class Lab {
	private readonly waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = []

	private constructor(private readonly socket: Socket) {
		createInterface({ input: socket }).on('line', (line) => {
			const { resolve, reject } = this.waiting.shift()!
			const answer = JSON.parse(line) as { result?: unknown; error?: string; code?: number }
			if (answer.error !== undefined) reject(new LabError(answer.error, answer.code ?? -1))
			else resolve(answer.result)
		})
		socket.on('close', () => {
			for (const { reject } of this.waiting.splice(0)) reject(new LabError('the lab is gone', -1))
		})
	}

	static open(): Promise<Lab> {
		return new Promise((resolve, reject) => {
			const socket = createConnection(environment.control, () => resolve(new Lab(socket)))
			socket.on('error', reject)
		})
	}

	close(): void {
		this.socket.destroy()
	}

	private ask<T = void>(method: string, ...args: unknown[]): Promise<T> {
		return new Promise<T>((resolve, reject) => {
			this.waiting.push({ resolve: resolve as (value: unknown) => void, reject })
			this.socket.write(`${JSON.stringify([method, args])}\n`)
		})
	}

	/** Everything as the first test found it. */
	reset = () => this.ask('reset')
	/** Calls a method on the VPS, with all rights. */
	rpc = <T = unknown>(method: string, params: object = {}) => this.ask<T>('rpc', method, params)
	/** Whether the daemon has a method. */
	has = (method: string) =>
		this.rpc(method, { probe: null }).then(
			() => true,
			(error: LabError) => error.code !== -32601,
		)
	cli = (...args: string[]) => this.ask<string>('cli', ...args)
	join = (ip: string) => this.ask('join', ip)
	leave = (ip: string) => this.ask('leave', ip)
	fetch = (count: number) => this.ask<string>('fetch', count)
	get = (port: number) => this.ask<string>('get', port)
	ping = (ip: string, size: number, count: number) => this.ask('ping', ip, size, count)
	/** The server, which has joined, opens a public port to one of its own for so long, by NAT-PMP. */
	openPort = (port: number, inner: number, seconds: number) => this.ask('open_port', port, inner, seconds)
	/** The same by PCP at its IPv6 address. */
	openPort6 = (port: number, inner: number, seconds: number) => this.ask('open_port6', port, inner, seconds)
	/** A household's tunnel in use, for the manual's pictures. */
	scene = () => this.ask('scene')
	/** So many devices and port forwards, in place of what there was. */
	fillUp = (devices: number, forwards: number) => this.ask('fill_up', devices, forwards)
	stop = () => this.ask('stop')
	start = () => this.ask('start')

	/** The next test has to log in anew. */
	forgetSession = () => Promise.resolve(rmSync(session, { force: true }))

	async document<T = Record<string, unknown>>(pointer = ''): Promise<T> {
		return (await this.rpc<{ value: T }>('db.dump', { pointer })).value
	}
}

/** What a page did that it must not: errors, refused contents, requests to others. */
export class Watch {
	readonly faults: string[] = []
	/** Faults that the test brings about itself. */
	readonly expected: RegExp[] = []

	constructor(page: Page) {
		page.on('console', (message: ConsoleMessage) => {
			if (message.type() === 'error') this.add(`console: ${message.text()}`)
		})
		page.on('pageerror', (error) => this.add(`exception: ${error.message}`))
		page.on('request', (request) => {
			const url = new URL(request.url())
			if (!['data:', 'blob:'].includes(url.protocol) && url.host !== new URL(environment.url).host)
				this.add(`request to another origin: ${request.url()}`)
		})
	}

	private add(fault: string): void {
		this.faults.push(fault)
	}

	unexpected(): string[] {
		return this.faults.filter((fault) => !this.expected.some((pattern) => pattern.test(fault)))
	}
}

export async function logIn(page: Page, password = environment.password): Promise<void> {
	await page.getByLabel(en.login.password, { exact: true }).fill(password)
	await page.getByRole('button', { name: en.login.submit }).click()
}

/** Logs in once for all tests but those of logging in. */
async function storedSession(browser: Browser): Promise<string> {
	if (!existsSync(session)) {
		const page = await browser.newPage({ baseURL: environment.url, locale: 'en-US', storageState: { cookies: [], origins: [] } })
		await page.goto('/')
		await logIn(page)
		await expect(page.getByRole('heading', { level: 1, name: en.subnets.title })).toBeVisible()
		await page.context().storageState({ path: session })
		await page.close()
	}
	return session
}

interface Fixtures {
	lab: Lab
	watch: Watch
	loggedIn: boolean
}

interface WorkerFixtures {
	connection: Lab
}

export const test = base.extend<Fixtures, WorkerFixtures>({
	loggedIn: [true, { option: true }],

	connection: [
		async ({}, use) => {
			const lab = await Lab.open()
			await use(lab)
			lab.close()
		},
		{ scope: 'worker' },
	],

	lab: [
		async ({ connection }, use) => {
			await connection.reset()
			await use(connection)
		},
		{ auto: true },
	],

	storageState: async ({ browser, loggedIn, lab: _ }, use) => use(loggedIn ? await storedSession(browser) : undefined),

	watch: [
		async ({ page }, use) => {
			const watch = new Watch(page)
			await use(watch)
			expect(watch.unexpected()).toEqual([])
		},
		{ auto: true },
	],
})

export { en, expect }
