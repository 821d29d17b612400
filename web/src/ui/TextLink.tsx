import { Link } from '@fluentui/react-components';
import type { ReactNode } from 'react';
import { useHref, useLinkClickHandler } from 'react-router';

/** A link inside text to a page of the portal. */
export function TextLink({ to, children }: { to: string; children: ReactNode }) {
  const href = useHref(to);
  const follow = useLinkClickHandler(to);
  return (
    <Link
      href={href}
      inline
      style={{ fontWeight: 'inherit' }}
      onClick={(event: React.MouseEvent<HTMLAnchorElement>) => {
        follow(event);
      }}
    >
      {children}
    </Link>
  );
}
