import { Button, Tooltip, type ButtonProps } from '@fluentui/react-components';

export type ReasonedButtonProps = ButtonProps & {
  /** Why it cannot be pressed now. Absent: it can. The button stays focusable, so that everyone can learn why. */
  reason?: string | undefined;
};

export function ReasonedButton({ reason, ...button }: ReasonedButtonProps) {
  if (reason === undefined) return <Button {...button} />;
  return (
    <Tooltip content={reason} relationship="description" withArrow>
      <Button {...button} disabledFocusable />
    </Tooltip>
  );
}
