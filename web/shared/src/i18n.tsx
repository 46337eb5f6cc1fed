// Languages: typed dictionaries, and numbers, sizes and times as each language writes them.

import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from 'react'

import { fill, type Plural } from './text'

export interface Language<M> {
	id: string
	/** In the language itself. */
	name: string
	load(): Promise<M>
}

const STORED = 'start.language'

/** The one that the owner chose, else the first that the browser asks for, else the first there is. */
export function preferredLanguage(ids: readonly string[]): string {
	const wanted = [localStorage.getItem(STORED) ?? '', ...navigator.languages]
	for (const one of wanted) {
		const id = one.toLowerCase().split('-')[0]!
		if (ids.includes(id)) return id
	}
	return ids[0]!
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** Makes something when it is first asked for. The tables of a language take some ms each to load. */
function once<T>(make: () => T): () => T {
	let made: { value: T } | null = null
	return () => (made ??= { value: make() }).value
}

export class Format {
	private readonly plurals = once(() => new Intl.PluralRules(this.locale))
	private readonly numbers = once(() => new Intl.NumberFormat(this.locale))
	private readonly relative = once(() => new Intl.RelativeTimeFormat(this.locale, { numeric: 'auto', style: 'short' }))
	private readonly times = once(() => new Intl.DateTimeFormat(this.locale, { dateStyle: 'medium', timeStyle: 'short' }))
	private readonly hours = once(() => new Intl.DateTimeFormat(this.locale, { timeStyle: 'short' }))
	private readonly dates = once(() => new Intl.DateTimeFormat(this.locale, { dateStyle: 'medium' }))
	private readonly lists = once(() => new Intl.ListFormat(this.locale, { type: 'conjunction' }))
	private readonly collators = once(() => new Intl.Collator(this.locale, { numeric: true, sensitivity: 'base' }))
	private readonly digits = [0, 1, 2].map((n) =>
		once(() => new Intl.NumberFormat(this.locale, { minimumFractionDigits: n, maximumFractionDigits: n })))

	constructor(readonly locale: string) {}

	compare = (a: string, b: string): number => this.collators().compare(a, b)

	/** Of up to three digits, which every language writes in the same way. */
	private small(value: number): string | null {
		return Number.isInteger(value) && value >= 0 && value < 1000 ? String(value) : null
	}

	number = (value: number): string => this.small(value) ?? this.numbers().format(value)

	/** "3 devices": the form that the language uses for the number, with {n} filled in. */
	count = (forms: Plural, n: number, values: Record<string, string | number> = {}): string =>
		fill(forms[this.plurals().select(n)] ?? forms.other, { n: this.number(n), ...values })

	private scaled(value: number, step: number, units: readonly string[]): string {
		let unit = 0
		while (value >= step && unit < units.length - 1) {
			value /= step
			unit++
		}
		const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
		const text = (digits === 0 && this.small(value)) || this.digits[digits]!().format(value)
		return `${text} ${units[unit]}`
	}

	bytes = (value: number): string => this.scaled(value, 1024, UNITS)

	/** Bytes a second, as network people write it: bits. */
	rate = (bytesPerSecond: number): string => this.scaled(bytesPerSecond * 8, 1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s'])

	/** "2 min. ago"; both in ms. */
	ago = (then: number, now: number): string => {
		const s = Math.min(0, Math.round((then - now) / 1000))
		if (s > -60) return this.relative().format(s, 'second')
		if (s > -3600) return this.relative().format(Math.ceil(s / 60), 'minute')
		if (s > -86400) return this.relative().format(Math.ceil(s / 3600), 'hour')
		return this.relative().format(Math.ceil(s / 86400), 'day')
	}

	/** A time within a day, else the date; both in ms. */
	until = (when: number, now: number): string => (when - now < 86_400_000 ? this.hours() : this.dates()).format(when)

	time = (when: number | string): string => this.times().format(new Date(when))
	date = (when: number | string): string => this.dates().format(new Date(when))
	list = (items: readonly string[]): string => this.lists().format(items)
}

interface Value<M> {
	m: M
	format: Format
	language: string
	setLanguage(id: string): void
}

/** The provider and the hook of one set of pages. `fallback` is the dictionary of the first language. */
export function createI18n<M>(languages: readonly Language<M>[], fallback: M) {
	const Context = createContext<Value<M> | null>(null)
	const ids = languages.map(({ id }) => id)

	function Provider({ children }: { children: ReactNode }) {
		const [language, setLanguage] = useState(() => preferredLanguage(ids))
		const [loaded, setLoaded] = useState<{ id: string; m: M } | null>(language === ids[0] ? { id: language, m: fallback } : null)

		useEffect(() => {
			let current = true
			const one = languages.find(({ id }) => id === language)!
			const show = (id: string, m: M) => {
				if (!current) return
				document.documentElement.lang = id
				setLoaded((before) => (before?.id === id && before.m === m ? before : { id, m }))
			}
			// Without its dictionary (the connection broke just now) the pages speak the first language.
			one.load().then((m) => show(language, m), () => show(ids[0]!, fallback))
			return () => void (current = false)
		}, [language])

		const value = useMemo(
			() =>
				loaded && {
					m: loaded.m,
					format: new Format(loaded.id),
					language,
					setLanguage: (id: string) => {
						localStorage.setItem(STORED, id)
						setLanguage(id)
					},
				},
			[loaded, language],
		)
		return value && <Context.Provider value={value}>{children}</Context.Provider>
	}

	function useI18n(): Value<M> {
		const value = useContext(Context)
		if (!value) throw new Error('no language provider')
		return value
	}

	return { Provider, useI18n, languages }
}
