import { Button, type ButtonProps } from '@fluentui/react-components';
import { useHref, useLinkClickHandler } from 'react-router';
import type { ReactElement, ReactNode } from 'react';

export interface LinkButtonProps {
  to: string;
  appearance?: NonNullable<ButtonProps['appearance']>;
  icon?: ReactElement;
  children: ReactNode;
}

/** A link that looks like a button; it goes to a page of the portal without loading it anew. */
export function LinkButton({ to, appearance = 'secondary', icon, children }: LinkButtonProps) {
  const href = useHref(to);
  const follow = useLinkClickHandler(to);
  return (
    <Button
      as="a"
      href={href}
      appearance={appearance}
      {...(icon === undefined ? {} : { icon })}
      onClick={(event: React.MouseEvent<HTMLAnchorElement>) => {
        follow(event);
      }}
    >
      {children}
    </Button>
  );
}
