import { createI18n } from '@shared/i18n'
import type { Translation } from '@shared/text'

import { en } from './en'

export type Messages = Translation<typeof en>

const i18n = createI18n<Messages>(
	[
		{ id: 'en', name: 'English', load: async () => en },
	],
	en,
)

export const { Provider: I18nProvider, useI18n, languages } = i18n
