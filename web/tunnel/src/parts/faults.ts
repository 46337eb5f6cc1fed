// What is wrong with a field, in the reader's language.

import { fill } from '@shared/text'

import { useI18n } from '../i18n'
import type { Fault } from '../validate'

export function useFaultText(): (fault: Fault) => string | null {
	const { m } = useI18n()
	return (fault) => fault && fill(m.errors[fault.key], fault.values ?? {})
}
