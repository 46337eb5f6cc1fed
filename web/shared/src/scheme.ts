// Light or dark: as the owner chose, else as the system is. The style sheets read it from an attribute of <html>.

import { Store } from './value'

export type Scheme = 'auto' | 'light' | 'dark'

const STORED = 'mantine-color-scheme-value'
const stored = localStorage.getItem(STORED)
const darkSystem = matchMedia('(prefers-color-scheme: dark)')

export const scheme = new Store<Scheme>(stored === 'light' || stored === 'dark' ? stored : 'auto')

function show(): void {
	const chosen = scheme.get()
	document.documentElement.dataset.mantineColorScheme = chosen !== 'auto' ? chosen : darkSystem.matches ? 'dark' : 'light'
}

export function setScheme(chosen: Scheme): void {
	localStorage.setItem(STORED, chosen)
	scheme.set(chosen)
}

scheme.subscribe(show)
darkSystem.addEventListener('change', show)
show()
