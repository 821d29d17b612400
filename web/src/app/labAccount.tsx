import { useQuery } from '@tanstack/react-query';
import { createContext, useContext, useMemo, useState, type ReactNode } from 'react';
import { labAccountsQuery, subscriptionsQuery } from '../api/queries';
import { parseId, sameId } from '../api/ids';
import type { LabPlan } from '../api/types';
import { Problem } from '../ui/Problem';
import { Waiting } from '../ui/Page';

export interface LabAccountChoice {
  /** The subscription of the chosen lab account, or the first one when there is none yet. */
  subscription: string;
  account: LabPlan | null;
  accounts: LabPlan[];
  choose: (id: string) => void;
}

const kStorageName = 'atelier.labAccount';
const LabAccountContext = createContext<LabAccountChoice | null>(null);

export function useLabAccount(): LabAccountChoice {
  const choice = useContext(LabAccountContext);
  if (choice === null) throw new Error('useLabAccount outside of LabAccountScope');
  return choice;
}

function stored(): string | null {
  try {
    return localStorage.getItem(kStorageName);
  } catch {
    return null;
  }
}

/** Reads the lab accounts and remembers in this browser which one is worked with. */
export function useLabAccountChoice() {
  const [chosen, setChosen] = useState(stored);
  const subscriptions = useQuery(subscriptionsQuery);
  const ids = useMemo(
    () => (subscriptions.data ?? []).map((each) => each.subscriptionId),
    [subscriptions.data],
  );
  const accounts = useQuery({ ...labAccountsQuery(ids), enabled: ids.length > 0 });
  const choice = useMemo<LabAccountChoice | null>(() => {
    const first = ids[0];
    if (first === undefined || accounts.data === undefined) return null;
    const account =
      accounts.data.find((each) => sameId(each.id, chosen)) ?? accounts.data[0] ?? null;
    return {
      subscription: account === null ? first : parseId(account.id).subscription,
      account,
      accounts: accounts.data,
      choose: (id) => {
        setChosen(id);
        try {
          localStorage.setItem(kStorageName, id);
        } catch {
          // Then it lasts until the next reload.
        }
      },
    };
  }, [ids, accounts.data, chosen]);
  const error = choice === null ? (subscriptions.error ?? accounts.error) : null;
  const retry = () => {
    void subscriptions.refetch();
    if (ids.length > 0) void accounts.refetch();
  };
  return { choice, error, retry };
}

export interface LabAccountScopeProps {
  state: ReturnType<typeof useLabAccountChoice>;
  children: ReactNode;
}

/** Shows the page once it is known which lab account it is about. */
export function LabAccountScope({ state, children }: LabAccountScopeProps) {
  if (state.error !== null) return <Problem error={state.error} onRetry={state.retry} />;
  if (state.choice === null) return <Waiting />;
  return <LabAccountContext value={state.choice}>{children}</LabAccountContext>;
}
