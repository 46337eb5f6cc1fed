// The controls of the frame and of tables: elements of HTML with a style sheet. Mantine, which looks the same,
// comes with the dialogs; there may be hundreds of these, and they are wanted first.

import type { ButtonHTMLAttributes, InputHTMLAttributes, ReactNode, Ref, SelectHTMLAttributes } from 'react'

import styles from '../styles/controls.module.css'

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
	variant?: 'filled' | 'default' | 'light'
	small?: boolean
	icon?: ReactNode
}

export function Button({ variant = 'filled', small, icon, children, ...rest }: ButtonProps) {
	return (
		<button type="button" className={styles.button} data-variant={variant} data-small={small} data-icon={icon ? true : undefined} {...rest}>
			{icon}{children}
		</button>
	)
}

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
	ref?: Ref<HTMLButtonElement>
	/** In px. */
	size?: number
	framed?: boolean
}

/** A button with an icon alone; its name is aria-label. */
export function IconButton({ size, framed, className, style, ...rest }: IconButtonProps) {
	return (
		<button
			type="button" className={className ? `${styles.iconButton} ${className}` : styles.iconButton} data-framed={framed}
			style={size === undefined ? style : { ...style, width: size, height: size }} {...rest}
		/>
	)
}

/** On or off; its name is aria-label. */
export function Switch(props: InputHTMLAttributes<HTMLInputElement>) {
	return <input type="checkbox" role="switch" className={styles.switch} {...props} />
}

interface TextBoxProps extends InputHTMLAttributes<HTMLInputElement> {
	ref?: Ref<HTMLInputElement>
	small?: boolean
	/** At its start and its end. */
	before?: ReactNode
	after?: ReactNode
}

/** A text field; its name is aria-label. */
export function TextBox({ className, before, after, small, ...rest }: TextBoxProps) {
	const input = <input className={styles.input} data-small={small} data-before={before ? true : undefined} data-after={after ? true : undefined} {...rest} />
	return (
		<div className={`${styles.field} ${className ?? ''}`}>
			{before && <span className={styles.before}>{before}</span>}
			{input}
			{after && <span className={styles.after}>{after}</span>}
		</div>
	)
}

/** A choice from a list; its name is aria-label. */
export function Select({ data, ...rest }: SelectHTMLAttributes<HTMLSelectElement> & { data: readonly { value: string; label: string }[] }) {
	return (
		<div className={styles.field}>
			<select className={styles.input} {...rest}>
				{data.map(({ value, label }) => <option key={value} value={value}>{label}</option>)}
			</select>
			<span className={styles.after} data-chevron />
		</div>
	)
}

/** The place of a text that is being loaded. */
export function Skeleton() {
	return <div className={styles.skeleton} />
}
