import { createI18n } from '@shared/i18n'
import type { Translation } from '@shared/text'

import { en } from './en'

export type Messages = Translation<typeof en>

const i18n = createI18n<Messages>(
	[
		{ id: 'en', name: 'English', load: async () => en },
		{ id: 'de', name: 'Deutsch', load: async () => (await import('./de')).de },
		{ id: 'es', name: 'Español', load: async () => (await import('./es')).es },
		{ id: 'fr', name: 'Français', load: async () => (await import('./fr')).fr },
		{ id: 'pl', name: 'Polski', load: async () => (await import('./pl')).pl },
	],
	en,
)

export const { Provider: I18nProvider, useI18n, languages } = i18n
