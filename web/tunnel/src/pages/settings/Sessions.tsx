// The browsers that are logged in, and how to end their sessions.

import { Button, Skeleton } from '@mantine/core'

import { fill } from '@shared/text'

import { rpc } from '../../app'
import { useI18n } from '../../i18n'
import { ask, attempt, errorText } from '../../parts/feedback'
import { Card } from '../../parts/Page'
import { Badge } from '../../parts/Traffic'
import { useCall } from '../../parts/useCall'
import { agentName } from './agent'
import styles from '../../styles/parts.module.css'

interface SessionList {
	current: string | null
	sessions: Record<string, { loggedIn: string; lastActive: string; userAgent: string | null }>
}

export function Sessions() {
	const { m, format } = useI18n()
	const { value, error, reload, set } = useCall<SessionList>('auth.session.list')
	const all = Object.entries(value?.sessions ?? {}).sort(([a, x], [b, y]) =>
		a === value?.current ? -1 : b === value?.current ? 1 : y.lastActive.localeCompare(x.lastActive))
	const others = all.map(([id]) => id).filter((id) => id !== value?.current)

	const kill = async (ids: string[]) => {
		const before = value!
		set({ ...before, sessions: Object.fromEntries(Object.entries(before.sessions).filter(([id]) => !ids.includes(id))) })
		if (!(await attempt(m, () => rpc.call('auth.session.kill', { ids }), { rolledBack: true, done: m.settings.sessionEnded }))) set(before)
		else await reload()
	}

	return (
		<Card
			title={m.settings.sessions} intro={m.settings.sessionsIntro} count={all.length}
			action={others.length > 1 && (
				<Button
					variant="default" size="xs"
					onClick={() => ask(m, { title: m.settings.endOthers, text: m.settings.endOthersText, confirm: m.settings.endOthers, action: () => kill(others) })}
				>
					{m.settings.endOthers}
				</Button>
			)}
		>
			<div className={styles.cardBody}>
				{value === null ? error ? <p className={styles.intro}>{errorText(m, error)}</p> : <Skeleton height={60} /> : (
					<ul className={styles.plain}>
						{all.map(([id, one]) => {
							const name = agentName(one.userAgent) ?? m.settings.unknownAgent
							return (
								<li key={id}>
									<div className={styles.two}>
										<span className={styles.nameLine}>
											<strong title={one.userAgent ?? undefined}>{name}</strong>
											{id === value.current && <Badge tone="ok">{m.settings.thisSession}</Badge>}
										</span>
										<span className={styles.subWrap}>
											{fill(m.settings.loggedIn, { time: format.time(one.loggedIn) })} · {fill(m.settings.lastActive, { ago: format.ago(Date.parse(one.lastActive), Date.now()) })}
										</span>
									</div>
									{id !== value.current && (
										<Button variant="default" size="xs" aria-label={fill(m.settings.endSession, { name })} onClick={() => void kill([id])}>{m.settings.end}</Button>
									)}
								</li>
							)
						})}
					</ul>
				)}
			</div>
		</Card>
	)
}
